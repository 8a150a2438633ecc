import psycopg


def whole_since_ms(conn: psycopg.Connection) -> int:
    return 0
