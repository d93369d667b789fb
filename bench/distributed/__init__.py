"""The distributed profile against its peers, on the same private servers, in turns."""
