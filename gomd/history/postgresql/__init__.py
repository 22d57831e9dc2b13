"""
The history of many nodes in a PostgreSQL database: what a collector writes, and how it is read.

Nothing here is loaded unless ``[history] kind`` has ``postgresql``. psycopg comes with the extra of that
name.
"""
