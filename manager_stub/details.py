"""A member of a table's JSON text column `details`, as a column expression on both dialects."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement


class Detail(ColumnElement[str]):
    """``details ->> name``: a text, or NULL."""

    inherit_cache = False
    type = sa.Text()

    def __init__(self, table: sa.Table, name: str) -> None:
        self.column = table.c.details
        #: Written into the SQL: only names from this package's code come here.
        self.member = name


@compiles(Detail, "sqlite")
def _sqlite(element: Detail, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_extract({compiler.process(element.column, **options)}, '$.{element.member}')"


@compiles(Detail, "postgresql")
def _postgresql(element: Detail, compiler: SQLCompiler, **options: Any) -> str:
    return f"(CAST({compiler.process(element.column, **options)} AS json) ->> '{element.member}')"
