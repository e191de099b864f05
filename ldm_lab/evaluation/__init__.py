"""What reconstructions and samples are worth: metrics, the scene reader, reports."""
