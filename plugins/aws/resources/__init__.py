"""The table's rows, a module for each area of AWS, with the small functions that the rows name."""
