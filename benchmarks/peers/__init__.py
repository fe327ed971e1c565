"""What Outrider is measured beside, in the same run on the same machine."""
