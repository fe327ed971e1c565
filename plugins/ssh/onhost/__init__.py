"""What is sent to hosts: no part of it is imported here."""
