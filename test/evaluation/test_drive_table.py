"""The table of drives: counts are summed, the rest is averaged, what is not known is a dash."""

from pair_drive_core.evaluation.drive_table import HEADER, drive_rows, markdown


def report(town, at_fault, progress_m, human_m, jump_m):
    drive = {
        "at_fault_collisions": at_fault,
        "other_collisions": 0,
        "off_road_s": 0.5,
        "red_lights": 1,
        "progress_m": progress_m,
        "standing_s": 2.0,
        "comfortable_share": 0.75,
    }
    jumps = {"p95_m": [0.1, jump_m / 2, 0.4], "max_m": [0.2, jump_m, 2.0]}
    events = {"planner": 2, "speed": 1}
    told = {"layout_seed": town, "drive": drive, "plan_jumps": jumps, "guard_events": events, "plans_missed": 0}
    return told | ({"human_progress_m": human_m} if human_m else {})


def test_counts_are_summed_shares_averaged_and_the_greatest_jump_kept():
    first, second, together = drive_rows([report(1, 1, 100.0, 200.0, 1.0), report(2, 2, 300.0, 300.0, 3.0)])
    assert first == ("1", "1", "0", "0.5", "1", "100", "50", "2.0", "75", "3", "0.50", "1.00", "0")
    assert second[1] == "2"
    assert together == ("all", "3", "0", "1.0", "2", "200", "75", "2.0", "75", "6", "1.00", "3.00", "0")


def test_one_drive_has_no_summary_and_the_unknown_is_a_dash():
    (row,) = drive_rows([report(7, 0, 100.0, None, 1.0)])
    assert row[HEADER.index("of the human's %")] == "-"
    lines = markdown([row]).splitlines()
    assert len(lines) == 3 and lines[2].startswith("| 7 | 0 |")
