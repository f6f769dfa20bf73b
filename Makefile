# `make demo` and `make test` do all their own set-up; a second run starts within seconds.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
ROS := source scripts/ros_env.sh

.PHONY: help demo closed-loop soak lifecycle test setup build lint types tests train experiments experiments-smoke bench bench-score lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: build  ## drive a minute through the town, record a bag, evaluate it: out/demo/
	@$(ROS) && $(PYTHON) scripts/demo.py

closed-loop: build  ## 24 unseen towns x 50 s through planner, guard and follower over DDS: out/closed_loop/ (ARGS=...)
	@$(ROS) && $(PYTHON) scripts/closed_loop.py $(ARGS)

soak: build  ## ten minutes of the planner node over DDS: memory, latency, what became of each set: out/soak/ (ARGS="--minutes 60")
	@$(ROS) && $(PYTHON) scripts/soak.py $(ARGS)

lifecycle: build  ## a hundred cycles of the planner's lifecycle: threads, handles, endpoints, memory
	@$(ROS) && LIFECYCLE_CYCLES=100 .venv/bin/pytest -q -s test/faults/test_lifecycle_cycles.py

test: build lint types tests  ## linter, type checker, all tests

setup:  ## .venv with every pinned package
	@scripts/setup_env.sh

build: setup  ## the native scorer and the ROS package with its messages
	@$(PYTHON) -m pair_drive_core.scoring.native.build
	@scripts/build_ros.sh

lint: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

types: setup
	@.venv/bin/mypy

tests: build
	@$(ROS) && $(PYTHON) test/interface_packages.py >/dev/null
	@$(ROS) && OMP_NUM_THREADS=1 .venv/bin/pytest -q -n 2 --dist worksteal

train: build  ## train the checkpoint that ships, on town scenes
	@.venv/bin/pair-drive train --config config/train_town_small.yaml
	@.venv/bin/pair-drive train --config config/train_nano.yaml

experiments: build  ## make the runs that docs/results/ lacks, write the table (ARGS="--seeds 0 1 2 --only parallel")
	@$(ROS) && $(PYTHON) scripts/experiments.py $(ARGS)

experiments-smoke: build  ## every scheme end to end in tiny size: losses fall, rewards rise
	@$(ROS) && OMP_NUM_THREADS=1 .venv/bin/pytest -q test/evaluation/test_experiments.py

bench: build  ## where the time of a plan goes, eagerly and by each backend (ARGS="--models nano --growth")
	@.venv/bin/python test/benchmark/bench_runtime.py $(ARGS)

bench-score: build  ## scorer throughput: a table
	@$(PYTHON) test/benchmark/bench_score.py

lock:  ## resolve requirements/*.in anew
	@$(PYTHON) scripts/lock.py

clean:  ## remove everything that is built
	rm -rf .venv build install log out
