#!/usr/bin/env bash
# Sets everything up and runs the demo: real video becomes counts and events on an MQTT broker, live in this terminal.
# Arguments go to `kentongan demo`:  ./demo.sh --source rtsp://camera/stream
source "$(dirname "$0")/scripts/setup.sh"

setup_system "${OPENCV_LIBRARIES[@]}"
setup_python demo,report
exec .venv/bin/kentongan demo "$@"
