"""One ruler for every detection model: average precision on labelled pictures, latency and memory on this box."""
