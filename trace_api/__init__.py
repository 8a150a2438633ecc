"""Everything that leaves: EPCIS capture and queries, trace, exposure, verdict, proof, and the pages for people."""
