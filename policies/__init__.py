"""The CrossGuard policy pack: what a release must keep, judged by Pulumi's engine before anything is changed.

It is a second pair of eyes beside the provider's own refusals, so it shares no code with them: it imports nothing of
this project outside its own folder, and judges what is on the wire.
"""
