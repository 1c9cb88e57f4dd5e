"""The stages of a run as plain functions over a store and a client."""
