"""Judging releases whose true share of errors is known: bluegreen's judge and the rules of two others."""
