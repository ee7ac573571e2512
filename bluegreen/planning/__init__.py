"""A change of a stack, told before it is made: what users will meet, whether it can be taken back, what is risky.

Everything here is pure. A preview of the engine, a survey of the stack and what rehearsals left are handed in; out
comes a document, its Markdown, and the list of everything that decided it, so that whoever applies it later can be told
what is not as it was.
"""
