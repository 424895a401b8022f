"""What the transports that ride on HTTP share: the request as it came, answers, bodies, and the lean handler."""
