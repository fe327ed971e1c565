"""Wagons, bundles and blueprint resources by their hash: a store on disk and a read-only HTTP endpoint.

The engine puts files in and names them in tasks (`FilesRef`); agents fetch them; the manager mounts `app.files_app`,
and a dispatcher without one serves it by `server.FilesServer`. Neither is loaded here: most commands serve nothing.
"""

from outrider.dispatcher.files.content import ContentStore, Stored, local_ref
from outrider.dispatcher.files.enrolment import Enrol
from outrider.dispatcher.files.errors import (
    ContentMismatch,
    EnrolmentDelayed,
    EnrolmentRefused,
    FilesError,
    NotStored,
    ServerFailed,
    TokenRefused,
)
from outrider.dispatcher.files.manifest import read_manifest, store_folder
from outrider.dispatcher.files.tokens import FileTokens, Subject, SubjectKind

__all__ = [
    "ContentMismatch",
    "ContentStore",
    "Enrol",
    "EnrolmentDelayed",
    "EnrolmentRefused",
    "FileTokens",
    "FilesError",
    "NotStored",
    "ServerFailed",
    "Stored",
    "Subject",
    "SubjectKind",
    "TokenRefused",
    "local_ref",
    "read_manifest",
    "store_folder",
]
