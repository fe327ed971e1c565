"""The kinds of mistakes that a blueprint, or the inputs of a deployment, can contain.

A kind has a stable name (for machines, documentation and tests), the number that the ecosystem's tools print for
it where there is one, and its rule in one sentence, which the error shows beside the finding.
"""

from __future__ import annotations

from enum import Enum
from typing import Optional


class Kind(Enum):
    """One kind of mistake: ``(name, number or None, rule)``."""

    # Text and structure.
    YAML = ("yaml", None, "A blueprint is one YAML document whose top level is a mapping.")
    TOO_LARGE = (
        "too-large",
        None,
        "Files, nesting, aliases and instances have limits, so that one file cannot stop a dispatcher.",
    )
    FORMAT = ("format", 1, "Each section has a fixed set of keys, and each key a fixed kind of value.")
    NOT_ASCII = ("not-ascii", 108, "Strings in a blueprint are ASCII; other characters belong into files beside it.")
    # Versions and imports.
    VERSION_MISSING = ("version-missing", 27, "The main file states tosca_definitions_version.")
    VERSION_UNKNOWN = ("version-unknown", 29, "The versions are cloudify_dsl_1_0 to cloudify_dsl_1_5.")
    VERSION_MISMATCH = (
        "version-mismatch",
        28,
        "An imported file states the main file's version, an older one, or none.",
    )
    VERSION_TOO_OLD = ("version-too-old", 102, "A feature is available from the version that introduced it.")
    IMPORT_NOT_FOUND = (
        "import-not-found",
        13,
        "An import names a bundled file, a file, an allowed URL, a plugin or a blueprint that exists.",
    )
    IMPORT_FORBIDDEN = ("import-forbidden", 13, "An uploaded blueprint reads only files below its own folder.")
    IMPORT_TWICE = ("import-twice", 2, "A list of imports names each import once.")
    IMPORT_CONFLICT = (
        "import-conflict",
        4,
        "Two files may not define the same name, except names that begin with 'cloudify.'.",
    )
    IMPORT_SECTION_TWICE = ("import-section-twice", 3, "This section may stand in one file only.")
    NAMESPACE_INVALID = ("namespace-invalid", 212, "A namespace does not contain '--'.")
    NAMESPACE_MISSING = ("namespace-missing", 213, "A blueprint is imported under a namespace.")
    NAMESPACE_TWICE = (
        "namespace-twice",
        214,
        "One namespace stands for one blueprint, and the built-in types have none.",
    )
    PLUGIN_PROPERTY = (
        "plugin-property",
        221,
        "An import sets only declared plugin properties, with values of their type.",
    )
    # Names.
    NODE_TYPE_UNKNOWN = ("node-type-unknown", 7, "A node template's type is defined in the blueprint or an import.")
    PARENT_UNKNOWN = ("parent-unknown", 103, "derived_from names a type that is defined.")
    TYPE_CYCLE = ("type-cycle", 100, "Types do not derive from themselves, also not over others.")
    RELATIONSHIP_TYPE_UNKNOWN = (
        "relationship-type-unknown",
        26,
        "A relationship's type is defined in the blueprint or an import.",
    )
    RELATIONSHIP_TARGET_UNKNOWN = (
        "relationship-target-unknown",
        25,
        "A relationship's target is another node template.",
    )
    RELATIONSHIP_TO_SELF = ("relationship-to-self", 23, "A node template has no relationship to itself.")
    RELATIONSHIP_CYCLE = (
        "relationship-cycle",
        100,
        "Relationships form no cycle, because operations follow their order.",
    )
    CONTAINED_TWICE = ("contained-twice", 112, "A node template is contained in one other at most.")
    CONNECTION_TYPE = ("connection-type", 108, "connection_type is all_to_all or all_to_one.")
    LIFECYCLE_OPERATION_MISSING = (
        "lifecycle-operation-missing",
        215,
        "depends_on_lifecycle_operation names a lifecycle operation.",
    )
    LIFECYCLE_OPERATION_UNKNOWN = (
        "lifecycle-operation-unknown",
        216,
        "The named lifecycle operation exists on the target.",
    )
    # Values.
    DATA_TYPE_UNKNOWN = (
        "data-type-unknown",
        103,
        "A schema's type is a primitive type or a data type of the blueprint.",
    )
    DATA_TYPE_REDEFINED = ("data-type-redefined", 104, "Primitive types cannot be redefined.")
    DATA_TYPE_CYCLE = ("data-type-cycle", 100, "Data types do not contain or derive from themselves.")
    PROPERTY_UNDEFINED = ("property-undefined", 106, "A node template sets only properties that its type defines.")
    PROPERTY_MISSING = ("property-missing", 107, "A required property without default gets a value.")
    VALUE_TYPE = ("value-type", 105, "A value has the type that its schema states.")
    EXTERNAL_RESOURCE_FUNCTION = (
        "external-resource-function",
        219,
        "use_external_resource is a literal: planning depends on it.",
    )
    CONSTRAINT_UNKNOWN = ("constraint-unknown", 103, "A constraint names an operator that exists.")
    CONSTRAINT_ARGUMENT = ("constraint-argument", 212, "A constraint has one operator, with an argument that suits it.")
    CONSTRAINT_VIOLATED = ("constraint-violated", None, "A value keeps the constraints of its schema.")
    CONSTRAINT_FUNCTION = (
        "constraint-function",
        213,
        "A value that is known only later cannot be checked against constraints.",
    )
    INPUT_DISPLAY = ("input-display", 216, "display is for inputs of the type textarea.")
    ITEM_TYPE = ("item-type", 218, "item_type is for values of the type list.")
    INPUT_HIDDEN = ("input-hidden", 215, "A hidden input that is required has a default.")
    # Plugins and operations.
    EXECUTOR = ("executor", 18, "An executor is central_deployment_agent or host_agent.")
    OPERATION_EXECUTOR = (
        "operation-executor",
        28,
        "An operation's executor is central_deployment_agent or host_agent.",
    )
    PLUGIN_SOURCE_MISSING = ("plugin-source-missing", 50, "A plugin to be installed states package_name or source.")
    OPERATION_PLUGIN_UNKNOWN = (
        "operation-plugin-unknown",
        10,
        "An implementation is PLUGIN.module.function, a script beside the blueprint, a URL, or text of several lines.",
    )
    RELATIONSHIP_PLUGIN_UNKNOWN = (
        "relationship-plugin-unknown",
        19,
        "An implementation is PLUGIN.module.function, a script beside the blueprint, a URL, or text of several lines.",
    )
    WORKFLOW_PLUGIN_UNKNOWN = (
        "workflow-plugin-unknown",
        21,
        "A mapping is PLUGIN.module.function, a script beside the blueprint, a URL, or text of several lines.",
    )
    OPERATION_AMBIGUOUS = ("operation-ambiguous", 91, "One plugin name is the prefix of an implementation, not two.")
    SCRIPT_INPUT_RESERVED = (
        "script-input-reserved",
        60,
        "script_path and script_source are set by the implementation, not as inputs.",
    )
    HOST_MISSING = (
        "host-missing",
        24,
        "An operation of a host agent belongs to a node that is, or is contained in, a Compute node.",
    )
    # Scaling, groups, policies.
    INSTANCES_TWICE = ("instances-twice", 209, "instances and capabilities.scalable exclude each other.")
    SCALABLE = (
        "scalable",
        207,
        "min_instances <= default_instances <= max_instances, whole numbers; -1 or UNBOUNDED is no maximum.",
    )
    GROUP_EMPTY = ("group-empty", 1, "A group has one member or more.")
    GROUP_MEMBER_UNKNOWN = ("group-member-unknown", 40, "A group's members are node templates or groups.")
    GROUP_NAME_TAKEN = ("group-name-taken", 211, "A group does not have a node template's name.")
    GROUP_CYCLE = ("group-cycle", 200, "Groups do not contain themselves.")
    GROUP_MEMBER_TWICE = ("group-member-twice", 201, "A member belongs to one scaling group.")
    GROUP_CONTAINMENT = (
        "group-containment",
        202,
        "The members of a scaling group are contained in the same node, or in none.",
    )
    GROUP_ALL_TO_ONE = ("group-all-to-one", 203, "all_to_one cannot be used between members of one scaling group.")
    POLICY_TYPE = ("policy-type", 204, "A policy's type is cloudify.policies.scaling.")
    POLICY_TARGETS_MISSING = ("policy-targets-missing", 206, "A scaling policy names the groups that it scales.")
    POLICY_TARGET_UNKNOWN = ("policy-target-unknown", 205, "A scaling policy's target is a group.")
    GROUP_POLICY_TYPE_UNKNOWN = ("group-policy-type-unknown", 41, "A group's policy has a type of policy_types.")
    TRIGGER_TYPE_UNKNOWN = ("trigger-type-unknown", 42, "A trigger has a type of policy_triggers.")
    # Functions.
    FUNCTION_ARGUMENTS = ("function-arguments", None, "Each function takes the arguments that the reference states.")
    FUNCTION_SCOPE = (
        "function-scope",
        None,
        "SELF stands in node templates; SOURCE and TARGET in operations of relationships.",
    )
    FUNCTION_REFERENCE = (
        "function-reference",
        None,
        "A function names a node template, property, group or capability that exists.",
    )
    FUNCTION_CYCLE = ("function-cycle", None, "Functions do not refer to their own result, and nest at most 50 deep.")
    FUNCTION_EVALUATION = ("function-evaluation", None, "A function's result exists when it is evaluated.")
    FUNCTION_FOREIGN = (
        "function-foreign",
        None,
        "Functions are those of the language; what plugins add to a parser is not called.",
    )
    SECRET_UNKNOWN = ("secret-unknown", None, "A secret exists before a deployment that uses it is created.")
    CAPABILITY_UNKNOWN = (
        "capability-unknown",
        None,
        "A capability of the parent environment exists before the deployment is created.",
    )
    # Labels and settings.
    LABEL = ("label", 1, "A label has a list of values.")
    SCHEDULE = ("schedule", None, "A schedule's times are 'YYYY-MM-DD HH:MM', 'HH:MM' or '+N unit'.")
    # Inputs of a deployment.
    INPUT_UNKNOWN = ("input-unknown", None, "A deployment gets only inputs that its blueprint declares.")
    INPUT_MISSING = ("input-missing", None, "A required input without default gets a value.")
    INPUT_TYPE = ("input-type", 214, "An input's value has the declared type.")
    INPUT_CONSTRAINT = ("input-constraint", None, "An input's value keeps the declared constraints.")

    def __init__(self, label: str, number: Optional[int], rule: str) -> None:
        self.label = label
        self.number = number
        self.rule = rule
