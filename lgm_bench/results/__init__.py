"""What finished cells say: reading them, statistics, tables, leaderboards."""
