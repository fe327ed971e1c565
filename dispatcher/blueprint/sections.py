"""The form of a blueprint: every section, its keys, the kinds of their values, and the version that brought them.

Rules that need more than one value (names that must exist, values that must fit a schema) stand with the builders.
"""

from __future__ import annotations

from outrider.dispatcher.blueprint.located import Map, key_mark, value_mark
from outrider.dispatcher.blueprint.problems import Problems
from outrider.dispatcher.blueprint.shapes import (
    Anything,
    Checker,
    Either,
    Field,
    Flag,
    Items,
    Nothing,
    Record,
    Shape,
    Table,
    Text,
    Whole,
)
from outrider.dispatcher.blueprint.versions import Version

ANY = Anything()
TEXT = Text()
LOOSE_TEXT = Text(numbers=True)
FLAG = Flag()
NAMES = Items(TEXT)
VALUES = Table(ANY)
#: A number or a function that yields one.
NUMBER_OR_FUNCTION = Either((Whole(), TEXT, VALUES))

_SCHEMA_FIELDS = {
    "type": Field(TEXT, "A primitive type or a data type"),
    "default": Field(ANY, "The value when none is given"),
    "required": Field(FLAG, "Whether a value must be given", since=(1, 2)),
    "description": Field(TEXT, "For people"),
    "display_label": Field(TEXT, "What user interfaces show instead of the name", since=(1, 3)),
    "hidden": Field(FLAG, "Not shown by user interfaces", since=(1, 3)),
    "item_type": Field(TEXT, "The type of a list's items", since=(1, 4)),
}
_CONSTRAINTS = Field(Items(VALUES), "Constraints that a value must keep")
_DISPLAY = Record("display", {"rows": Field(Whole(1), "How many lines are shown")})
PROPERTY = Record("property schema", _SCHEMA_FIELDS)
PARAMETER = Record("parameter", {**_SCHEMA_FIELDS, "constraints": _CONSTRAINTS})
INPUT = Record(
    "input",
    {
        **_SCHEMA_FIELDS,
        "constraints": _CONSTRAINTS,
        "display": Field(_DISPLAY, "How user interfaces show a textarea", since=(1, 3)),
    },
)

OPERATION_FIELDS = {
    "implementation": Field(TEXT, "PLUGIN.module.function, a script, a URL, or text of several lines"),
    "executor": Field(TEXT, "central_deployment_agent or host_agent"),
    "max_retries": Field(Whole(-1), "-1 is without end", since=(1, 1)),
    "retry_interval": Field(Whole(0, fraction=True), "Seconds", since=(1, 1)),
    "timeout": Field(Whole(0, fraction=True), "Seconds"),
    "timeout_recoverable": Field(FLAG, "Whether an operation that was ended by its timeout is tried again"),
}
TYPE_OPERATION = Record(
    "operation", {**OPERATION_FIELDS, "inputs": Field(Table(PROPERTY), "Schemas of the operation's inputs")}
)
TEMPLATE_OPERATION = Record("operation", {**OPERATION_FIELDS, "inputs": Field(VALUES, "Values of inputs")})
TYPE_INTERFACES = Table(Table(Either((TEXT, Nothing(), TYPE_OPERATION))))
TEMPLATE_INTERFACES = Table(Table(Either((TEXT, Nothing(), TEMPLATE_OPERATION))))

NODE_TYPE = Record(
    "node type",
    {
        "derived_from": Field(TEXT, "The parent type"),
        "interfaces": Field(TYPE_INTERFACES, "Operations, by interface"),
        "properties": Field(Table(PROPERTY), "Schemas of properties"),
        "runtime_properties": Field(VALUES, "Runtime properties that operations will set"),
    },
)
RELATIONSHIP_TYPE = Record(
    "relationship type",
    {
        "derived_from": Field(TEXT, "The parent type"),
        "properties": Field(Table(PROPERTY), "Schemas of properties"),
        "source_interfaces": Field(TYPE_INTERFACES, "Operations that run at the source"),
        "target_interfaces": Field(TYPE_INTERFACES, "Operations that run at the target"),
    },
)
RELATIONSHIP = Record(
    "relationship",
    {
        "type": Field(TEXT, "A relationship type", required=True),
        "target": Field(TEXT, "The other node template", required=True),
        "properties": Field(VALUES, "Values of properties"),
        "source_interfaces": Field(TEMPLATE_INTERFACES, "Operations that run at the source"),
        "target_interfaces": Field(TEMPLATE_INTERFACES, "Operations that run at the target"),
    },
)
SCALABLE = Record(
    "scalable properties",
    {
        "default_instances": Field(NUMBER_OR_FUNCTION, "How many instances there are at first"),
        "min_instances": Field(NUMBER_OR_FUNCTION, "The least that scaling allows"),
        "max_instances": Field(NUMBER_OR_FUNCTION, "The most; -1 or UNBOUNDED is no limit"),
    },
)
NODE_TEMPLATE = Record(
    "node template",
    {
        "type": Field(TEXT, "A node type", required=True),
        "properties": Field(VALUES, "Values of properties"),
        "interfaces": Field(TEMPLATE_INTERFACES, "Operations, by interface"),
        "relationships": Field(Items(RELATIONSHIP), "Relationships to other node templates, in order"),
        "capabilities": Field(
            Record("node capabilities", {"scalable": Field(Record("scalable", {"properties": Field(SCALABLE)}))}),
            "How many instances there are",
            since=(1, 3),
        ),
        "instances": Field(
            Record("instances", {"deploy": Field(NUMBER_OR_FUNCTION)}), "The older form of capabilities"
        ),
    },
)
PLUGIN = Record(
    "plugin",
    {
        "executor": Field(TEXT, "central_deployment_agent or host_agent"),
        "install": Field(FLAG, "Whether the plugin is installed before use"),
        "source": Field(TEXT, "A folder or file beside the blueprint, or a URL"),
        "install_arguments": Field(TEXT, "Arguments for pip", since=(1, 1)),
        "package_name": Field(TEXT, "The plugin's distribution name", since=(1, 2)),
        "package_version": Field(LOOSE_TEXT, "The plugin's version", since=(1, 2)),
        "supported_platform": Field(TEXT, "A wheel platform tag", since=(1, 2)),
        "distribution": Field(TEXT, "A Linux distribution", since=(1, 2)),
        "distribution_version": Field(LOOSE_TEXT, "Its version", since=(1, 2)),
        "distribution_release": Field(TEXT, "Its release name", since=(1, 2)),
        "properties": Field(
            Table(
                Record(
                    "plugin property",
                    {
                        "type": Field(TEXT, "A primitive type or a data type"),
                        "description": Field(TEXT, "For people"),
                        "display_label": Field(TEXT, "What user interfaces show instead of the name"),
                        "value": Field(ANY, "The value"),
                        "default": Field(ANY, "The value when none is set"),
                    },
                )
            ),
            "Values that all operations of the plugin get",
            since=(1, 5),
        ),
        "properties_description": Field(TEXT, "For people", since=(1, 5)),
    },
)
AVAILABILITY = Record(
    "availability rules",
    {
        "available": Field(FLAG, "false hides the workflow"),
        "node_instances_active": Field(Items(Text(("all", "partial", "none"))), "Which states of a deployment suit"),
        "node_types_required": Field(NAMES, "Types of which the deployment has a node"),
    },
)
WORKFLOW = Record(
    "workflow",
    {
        "mapping": Field(TEXT, "PLUGIN.module.function, a script, a URL, or text of several lines"),
        "parameters": Field(Table(PARAMETER), "Schemas of parameters"),
        "is_cascading": Field(FLAG, "Whether the workflow runs on deployments below this one, too"),
        "availability_rules": Field(AVAILABILITY, "When the workflow is offered", since=(1, 4)),
    },
)
DATA_TYPE = Record(
    "data type",
    {
        "properties": Field(Table(PROPERTY), "Schemas of properties"),
        "derived_from": Field(TEXT, "The parent type"),
        "description": Field(TEXT, "For people"),
        "version": Field(TEXT, "For people"),
    },
)
VALUE = Record(
    "value", {"description": Field(TEXT, "For people"), "value": Field(ANY, "Usually a function", required=True)}
)
GROUP = Record(
    "group",
    {
        "members": Field(NAMES, "Node templates and groups", required=True),
        "policies": Field(
            Table(
                Record(
                    "group policy",
                    {
                        "type": Field(TEXT, "A policy type", required=True),
                        "properties": Field(VALUES, "Values of properties"),
                        "triggers": Field(
                            Table(
                                Record(
                                    "trigger",
                                    {
                                        "type": Field(TEXT, "A policy trigger", required=True),
                                        "parameters": Field(VALUES, "Values of parameters"),
                                    },
                                )
                            ),
                            "What the policy starts",
                        ),
                    },
                )
            ),
            "Kept in the plan only",
        ),
    },
)
POLICY = Record(
    "policy",
    {
        "type": Field(TEXT, "cloudify.policies.scaling", required=True),
        "targets": Field(NAMES, "Groups", required=True),
        "properties": Field(SCALABLE, "How many instances of the group there are"),
    },
)
POLICY_TYPE = Record(
    "policy type",
    {"properties": Field(Table(PROPERTY), "Schemas of properties"), "source": Field(TEXT, "A file", required=True)},
)
POLICY_TRIGGER = Record(
    "policy trigger",
    {"parameters": Field(Table(PROPERTY), "Schemas of parameters"), "source": Field(TEXT, "A file", required=True)},
)
LABELS = Table(Record("label", {"values": Field(Items(ANY), "One or more values", required=True)}))
SCHEDULE = Record(
    "schedule",
    {
        "workflow": Field(TEXT, "The workflow to start", required=True),
        "since": Field(TEXT, "When it starts first", required=True),
        "until": Field(TEXT, "When it starts no more"),
        "recurrence": Field(TEXT, "N minutes, hours, days, weeks, months or years"),
        "timezone": Field(TEXT, "A timezone's name, or an offset in hours"),
        "weekdays": Field(Items(ANY), "su, mo … or 1mo, l-fr …"),
        "count": Field(Whole(1), "How often at most"),
        "slip": Field(Whole(0), "Minutes for which a missed start is made up"),
        "default_enabled": Field(FLAG, "Whether the schedule is on at first"),
        "stop_after_fail": Field(FLAG, "Whether a failure ends the schedule"),
        "workflow_parameters": Field(VALUES, "Parameters of the workflow"),
        "execution_arguments": Field(
            Record(
                "execution arguments",
                {
                    "force": Field(FLAG),
                    "is_dry_run": Field(FLAG),
                    "wait_after_fail": Field(Whole(0)),
                    "allow_custom_parameters": Field(FLAG),
                },
            ),
            "How the execution is started",
        ),
    },
)
DEPLOYMENT_SETTINGS = Record(
    "deployment settings",
    {
        "id_template": Field(TEXT, "How ids of deployments are made"),
        "display_name": Field(Either((TEXT, VALUES)), "Text or a function"),
        "default_groups": Field(NAMES, "Deployment groups to join"),
        "default_schedules": Field(Table(SCHEDULE), "Schedules that every deployment gets"),
    },
)

IMPORT: Shape = Either((TEXT, VALUES))

#: Every section of a blueprint, in the order in which people write them.
SECTIONS: dict[str, Field] = {
    "tosca_definitions_version": Field(TEXT, "The version of the language"),
    "description": Field(TEXT, "For people", since=(1, 2)),
    "imports": Field(Items(IMPORT), "Other files, plugins and blueprints"),
    "dsl_definitions": Field(ANY, "A place for YAML anchors", since=(1, 2)),
    "metadata": Field(VALUES, "For tools"),
    "inputs": Field(Table(INPUT), "What a deployment is given"),
    "plugins": Field(Table(PLUGIN), "Code that operations run"),
    "node_types": Field(Table(NODE_TYPE), "Types of nodes"),
    "relationships": Field(Table(RELATIONSHIP_TYPE), "Types of relationships"),
    "node_templates": Field(Table(NODE_TEMPLATE), "The topology"),
    "policy_types": Field(Table(POLICY_TYPE), "Types of group policies; kept in the plan only"),
    "policy_triggers": Field(Table(POLICY_TRIGGER), "Types of triggers; kept in the plan only"),
    "groups": Field(Table(GROUP), "Sets of nodes"),
    "policies": Field(Table(POLICY), "Scaling of groups", since=(1, 3)),
    "workflows": Field(Table(Either((TEXT, WORKFLOW))), "Workflows beside the built-in ones"),
    "outputs": Field(Table(VALUE), "Values shown for a deployment"),
    "data_types": Field(Table(DATA_TYPE), "Types of values", since=(1, 2)),
    "capabilities": Field(Table(VALUE), "Values offered to other deployments"),
    "labels": Field(LABELS, "Labels that every deployment gets"),
    "blueprint_labels": Field(LABELS, "Labels of the blueprint"),
    "deployment_settings": Field(DEPLOYMENT_SETTINGS, "How deployments are named, grouped and scheduled"),
    "resource_tags": Field(VALUES, "Tags that plugins put on what they create", since=(1, 3)),
}
BLUEPRINT = Record("blueprint", SECTIONS)


def check_sections(sections: Map, problems: Problems, version: Version) -> None:
    """Check the form of every section; an element that does not fit is taken out, and its name remembered."""
    checker = Checker(problems, version)
    for name in list(sections):
        field = SECTIONS.get(name)
        if field is None or (field.since > version and not _from_exempt_file(sections, name)):
            single = Map(sections.mark)
            single.put(name, sections[name], origin=sections)
            checker.check(single, BLUEPRINT, what="the blueprint", at=sections.mark)
            del sections[name]
        elif isinstance(field.shape, Table) and isinstance(sections[name], dict):
            _check_elements(name, sections[name], field.shape, checker, problems)
        elif sections[name] is not None:
            at = value_mark(sections, name)
            if not checker.check(sections[name], field.shape, what=name, at=at):
                del sections[name]


def _from_exempt_file(sections: Map, name: str) -> bool:
    at = key_mark(sections, name)
    return at is not None and at.source.any_version


def _check_elements(section: str, elements: Map, shape: Table, checker: Checker, problems: Problems) -> None:
    for name in list(elements):
        if elements[name] is None:
            continue
        good = checker.check(elements[name], shape.of, what=f"{section}.{name}", at=value_mark(elements, name))
        if not good:
            problems.broken.add((section, name))
            del elements[name]
