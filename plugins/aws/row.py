"""What the table says of a resource type: one `Row` each, interpreted by `engine` and `links`.

A row is data. Texts in it may hold placeholders (`templates`), such as ``$id``; paths are JMESPath. What data cannot
say is a small function, named in the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Optional

if TYPE_CHECKING:
    from outrider.plugins.aws.work import Work

#: What AWS answers about a resource.
Description = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A boto3 method and its arguments."""

    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """A call that describes resources, and where in its answer they are."""

    call: Call
    #: Path to the description, or to a list of them; empty if there is none.
    found: str
    #: AWS codes that mean: there is none.
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fill:
    """An argument of the create call that is taken from related nodes, unless the blueprint gives it."""

    argument: str
    #: Types of related nodes, the more fitting first.
    targets: tuple[str, ...]
    #: Runtime property of the related instance.
    take: str = "aws_resource_id"
    #: The argument is a list, of all related instances of these types.
    many: bool = False
    #: JMESPath that makes the argument from the taken value, such as ``{Name: @}``.
    shape: str = "@"


@dataclass(frozen=True)
class Link:
    """A tie to related resources that is not an argument of the create call: an attachment, an association."""

    targets: tuple[str, ...]
    attach: Call
    detach: Call
    #: Where the ties are listed: path in the resource's description to ``[{target, handle}]``.
    ties: str
    #: Call whose answer `ties` looks at, instead of the description.
    listing: Optional[Call] = None
    take: str = "aws_resource_id"
    #: ``start``: tied by start, untied by stop. ``create``: by create and delete. ``relationship``: only by the
    #: operations of a relationship.
    at: str = "start"


@dataclass(frozen=True)
class States:
    """The states of a resource that does not become ready, or vanish, at once."""

    #: Path to the state in the description.
    path: str
    ready: tuple[str, ...]
    #: It will never become ready.
    broken: tuple[str, ...] = ()
    #: It is being removed.
    ending: tuple[str, ...] = ()
    #: It is removed, although AWS still describes it.
    gone: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tagging:
    """How the create call takes tags."""

    #: Argument of the create call; ``TagSpecifications`` is EC2's, with a resource type.
    argument: str = ""
    resource_type: str = ""


@dataclass(frozen=True)
class Row:
    """One resource type."""

    type_name: str
    #: For people: ``VPC``.
    noun: str
    service: str
    #: Its arguments are defaults; the blueprint's come over them.
    create: Call
    #: None where the call makes nothing that could be described (tags).
    read: Optional[Read]
    #: None where nothing is to be removed.
    delete: Optional[Call]
    #: Path from the create call's answer to the description.
    answer: str = "@"
    #: Path in the description to the id, which becomes `aws_resource_id`; "" where the name is the id.
    id: str = ""
    #: Path in the description to the ARN.
    arn: str = ""
    #: Argument of the create call that names the resource; a name is made up if the blueprint has none.
    named_by: str = ""
    #: Names may not be longer.
    name_length: int = 63
    #: Finds what an earlier try has made when no id is known; None where the name is enough.
    search: Optional[Read] = None
    states: Optional[States] = None
    tagging: Optional[Tagging] = None
    #: Argument of the create call that makes a repetition harmless.
    idempotent_by: str = ""
    #: The create call replaces what is there, so that it can be repeated.
    replaces: bool = False
    fills: tuple[Fill, ...] = ()
    links: tuple[Link, ...] = ()
    #: Further runtime properties: name → path in the description.
    notes: Mapping[str, str] = field(default_factory=dict)
    #: Method that changes attributes afterwards, and its argument for the id.
    modify: Optional[Call] = None
    #: Arguments that are given in the description under another path.
    drift: Mapping[str, str] = field(default_factory=dict)

    #: Changes the arguments of the create call.
    prepare: Optional[Callable[[Work, dict[str, Any]], dict[str, Any]]] = None
    #: Replaces the create call; returns the description.
    make: Optional[Callable[[Work, dict[str, Any]], Description]] = None
    #: Replaces the read call.
    look: Optional[Callable[[Work], Optional[Description]]] = None
    #: Replaces the delete call.
    remove: Optional[Callable[[Work], None]] = None
    #: Called once with the answer of the create call, before anything else is done.
    made: Optional[Callable[[Work, Description], None]] = None
    #: Called by each operation that looked at the resource.
    observed: Optional[Callable[[Work, Description], None]] = None
    #: Called by start and stop, before ties are made or undone.
    start: Optional[Callable[[Work], None]] = None
    stop: Optional[Callable[[Work], None]] = None
    #: Replaces the comparison with the blueprint.
    differences: Optional[Callable[[Work, Description], dict[str, Any]]] = None
