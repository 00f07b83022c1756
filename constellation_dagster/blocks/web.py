"""The block that asks services of the web."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from constellation_dagster.blocks.records import as_table
from constellation_dagster.blocks.web_pages import Paging, fetch_pages
from constellation_dagster.domain.config_formats import READ_URL
from constellation_dagster.domain.ports import Table
from constellation_dagster.domain.registry import block


@block(
    kind="source",
    phrases=(
        "fetch JSON from an API",
        "call a web service",
        "load data from a REST endpoint",
        "get data from a web address",
        "download JSON from the web",
    ),
)
def fetch_json(
    *,
    url: Annotated[
        str,
        Field(
            json_schema_extra={"format": READ_URL},
            pattern="^https?://",
            description="The address, which begins with https: or http:.",
        ),
    ],
    records_path: Annotated[
        str | None,
        Field(
            min_length=1,
            description="The keys that lead to the records, such as `data.items`, if they are "
            "within an object.",
        ),
    ] = None,
    paging: Annotated[
        Paging,
        Field(
            description="How to get at more pages: none, by the `Link` header's next, or by "
            "counting a page parameter up."
        ),
    ] = "none",
    page_parameter: Annotated[
        str, Field(min_length=1, description="The name of the page parameter.")
    ] = "page",
    first_page: Annotated[int, Field(ge=0, description="The number of the first page.")] = 1,
    limit: Annotated[
        int, Field(ge=1, le=10_000_000, description="The most records to fetch.")
    ] = 10_000,
) -> Table:
    """Fetch JSON from a service of the web.

    The answer holds records. A record is an object and becomes a row, as `read_json` does it. Counting pages ends with the
    first that has no records, or the same as the one before. The pipeline of a person reaches
    addresses of the public internet only.

    ```yaml
    - id: fetch
      block: fetch_json
      config: {url: "https://example.org/api/houses", records_path: items, paging: page}
    ```

    **Mistakes it tells:** a server that does not answer or answers with an error, addresses that
    are not public, answers that are no JSON or larger than 50 MB, no records where records_path
    leads, more than 1,000 pages.
    """
    records: list[Mapping[str, object]] = []
    pages = fetch_pages(
        url, records_path, paging=paging, page_parameter=page_parameter, first_page=first_page
    )
    for page in pages:
        records += page
        if len(records) >= limit:
            break
    return as_table(records[:limit])
