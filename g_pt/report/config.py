"""What the report shows."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ReportConfig:
  networks: int = 24  # of those evaluated, drawn one by one in the prompted-against-achieved figure
