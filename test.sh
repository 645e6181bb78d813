#!/usr/bin/env bash
# Sets everything up and runs what CI runs: linters, types, import contracts, and the whole test suite with coverage.
# Arguments go to pytest:  ./test.sh tests/unit -k lines     (with arguments, only pytest runs, in one process but for -n)
source "$(dirname "$0")/scripts/setup.sh"

setup_system "${OPENCV_LIBRARIES[@]}" \
  mosquitto=/usr/sbin/mosquitto \
  openssl=openssl \
  "python3-gi=/usr/lib/python3/dist-packages/gi" \
  "gir1.2-gst-rtsp-server-1.0=/usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib" \
  "gstreamer1.0-plugins-base=/usr/lib/*/gstreamer-1.0/libgstvideotestsrc.so" \
  "gstreamer1.0-plugins-good=/usr/lib/*/gstreamer-1.0/libgstrtp.so" \
  "gstreamer1.0-plugins-bad=/usr/lib/*/gstreamer-1.0/libgstvideoparsersbad.so" \
  "gstreamer1.0-plugins-ugly=/usr/lib/*/gstreamer-1.0/libgstx264.so" \
  "systemd=systemd-analyze" \
  "faketime=faketime" \
  "gcc=cc" \
  "postgresql=/usr/lib/postgresql/*/bin/initdb"
setup_python dev

if [ $# -gt 0 ]; then exec .venv/bin/python -m pytest "$@"; fi
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/lint-imports
# Two workers for each core: half of a test's time is waiting, for a broker, a camera or a timeout. Not more than eight:
# each takes some 300 MB. Every worker begins with a stretch of its own, and then takes over from the slower ones.
workers=$((2 * $(nproc)))
.venv/bin/python -m coverage erase
.venv/bin/python -m pytest -n $((workers < 8 ? workers : 8)) --dist worksteal --cov --cov-report=
.venv/bin/python -m coverage report --fail-under=95 | tail -n 25
# What counts, numbers and stores has no untested branch.
.venv/bin/python -m coverage report --fail-under=100 \
  --include='agent/scene/geometry.py,agent/scene/lines.py,agent/scene/crossing.py,agent/scene/intervals.py' | tail -n 6
.venv/bin/python -m coverage report --fail-under=100 \
  --include='agent/vision/tracker.py,agent/vision/kalman.py,agent/vision/assignment.py,agent/vision/association.py,agent/outbox/*' | tail -n 6
