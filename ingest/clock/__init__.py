"""A device's clock, from what its messages say of it: samples in the line, a model beside it, correction on reading.

`samples` -> `clock_sample` -> `step` (with `fitting`, pure) -> `device_clock` -> `known` (admission) and the view
`reading_corrected`. A reading's own time is never rewritten, and nothing is judged by the corrected one
(docs/decisions/0023).
"""

from ingest.clock.known import Clocks
from ingest.clock.modelling import step
from ingest.clock.samples import Sample, Samples

__all__ = ["Clocks", "Sample", "Samples", "step"]
