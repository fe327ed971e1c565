"""Wagons, bundles and blueprint resources by their hash: a store on disk and a read-only HTTP endpoint.

The engine puts files in and names them in tasks (`FilesRef`); agents fetch them; the manager mounts `files_app`.
"""

from outrider.dispatcher.files.app import Enrol, files_app
from outrider.dispatcher.files.content import ContentStore, Stored
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
from outrider.dispatcher.files.server import FilesServer, ServerSettings, local_ref
from outrider.dispatcher.files.tokens import FileTokens, Subject, SubjectKind

__all__ = [
    "ContentMismatch",
    "ContentStore",
    "Enrol",
    "EnrolmentDelayed",
    "EnrolmentRefused",
    "FileTokens",
    "FilesError",
    "FilesServer",
    "NotStored",
    "ServerFailed",
    "ServerSettings",
    "Stored",
    "Subject",
    "SubjectKind",
    "TokenRefused",
    "files_app",
    "local_ref",
    "read_manifest",
    "store_folder",
]
