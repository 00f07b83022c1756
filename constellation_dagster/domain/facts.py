"""What is there for a person to work with: files, tables, deployments, packages, pipelines."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ColumnType = Literal["number", "text", "boolean", "date"]
FileKind = Literal["table", "image", "text", "json"]


class ColumnFact(BaseModel):
    """A column of a file or table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: ColumnType = "text"
    samples: tuple[str, ...] = Field(default=(), description="A few values, as text.")


class FileFact(BaseModel):
    """A file that can be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    kind: FileKind
    columns: tuple[ColumnFact, ...] = ()
    note: str = Field(default="", description="More about it, such as an image's size and bands.")


class TableFact(BaseModel):
    """A Supabase table that the person can read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    columns: tuple[ColumnFact, ...] = ()


class PipelineFact(BaseModel):
    """A pipeline of the person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    id: str
    spec: dict[str, Any]
    status: str


class Facts(BaseModel):
    """All of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[FileFact, ...] = ()
    tables: tuple[TableFact, ...] = ()
    deployments: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    pipelines: tuple[PipelineFact, ...] = ()

    def file(self, path: str) -> FileFact | None:
        """The file of that path."""
        return next((file for file in self.files if file.path == path), None)

    def table(self, name: str) -> TableFact | None:
        """The table of that name."""
        return next((table for table in self.tables if table.name == name), None)

    def pipeline(self, name: str) -> PipelineFact | None:
        """The pipeline of that name."""
        return next((pipeline for pipeline in self.pipelines if pipeline.name == name), None)
