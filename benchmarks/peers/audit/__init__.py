"""What people add to a Django project for an audit trail: django-auditlog, or a Celery task an entry."""
