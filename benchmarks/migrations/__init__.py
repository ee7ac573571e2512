"""Migrations beside traffic: bluegreen and the tools that people use instead, on the same server, one after another."""
