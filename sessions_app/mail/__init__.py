"""Mailboxes of sessions: what one node has for whoever serves the session next, on whichever node that is.

A mailbox holds letters, in the order in which they came, and notes, each under a name. Both are bounded and go by
themselves: nothing in a mailbox is the truth about anything that has to last. With a Redis the nodes share them;
without, there is only one process, and its memory is enough. A bell says that there is something new; whoever waits
looks anyway, so that a bell which is lost delays and loses nothing.
"""
