-- beside POSTGRES_DB: what PostgreSQL runs once, in a new data folder
CREATE DATABASE erlmcp_audit;
