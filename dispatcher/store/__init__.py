"""The persistent state: SQLite by default, PostgreSQL where several machines share it.

One module per noun; each holds a frozen record and the functions that read and write it on a connection. The engine
and the REST API are the callers. Logic (what follows from what) is not here.
"""

from outrider.dispatcher.store.database import Database

__all__ = ["Database"]
