"""A member of a table's JSON text column `details`, as a column expression on both dialects."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Detail(FunctionElement[str]):
    """``details ->> name``: a text, or NULL.

    Column and name are the function's arguments, so that SQLAlchemy can keep the compiled query.
    """

    inherit_cache = True
    name = "detail"
    type = sa.Text()

    def __init__(self, table: sa.Table, name: str) -> None:
        super().__init__(table.c.details, sa.literal(name, sa.Text()))


@compiles(Detail, "sqlite")
def _sqlite(element: Detail, compiler: SQLCompiler, **options: Any) -> str:
    column, name = (compiler.process(each, **options) for each in element.clauses)
    return f"json_extract({column}, '$.' || {name})"


@compiles(Detail, "postgresql")
def _postgresql(element: Detail, compiler: SQLCompiler, **options: Any) -> str:
    column, name = (compiler.process(each, **options) for each in element.clauses)
    return f"(CAST({column} AS json) ->> {name})"
