/* Plain C interface of the scoring kernel. Numbers are float64 (but for `states`), indices int64, flags one byte. */
#ifndef PAIR_DRIVE_SCORING_KERNEL_H
#define PAIR_DRIVE_SCORING_KERNEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PAIR_DRIVE_EXPORT __attribute__((visibility("default")))

/* Packed scenes: the fields of `PreparedScenes` of the same names, contiguous. Only read while indexing. */
typedef struct {
  int64_t version; /* 1 or 2 */
  int64_t scenes;
  int64_t object_steps; /* rows of each object's states, at least 41 (version 2) or 50 (version 1) */
  double width, front_length, rear_length, wheel_base;
  const double* origin;        /* (S, 2) */
  const double* ego;           /* (S, 11) */
  const int64_t* sample_index; /* (S, 41), 0..7 */
  const double* sample_weight; /* (S, 41) */
  const double* history;       /* (H, 11) */
  const int64_t* history_offsets;
  const uint8_t* has_history;
  const double* object_states;   /* (N, T, 5) */
  const uint8_t* object_present; /* (N, T) */
  const double* object_size;     /* (N, 2) */
  const uint8_t* object_is_agent;
  const uint8_t* object_stopped;
  const int64_t* object_offsets;
  const int64_t* polygon_layers; /* (M,) */
  const uint8_t* polygon_on_route;
  const int64_t* polygon_offsets;
  const double* ring_points; /* (V, 2) */
  const int64_t* ring_offsets;
  const double* centerline; /* (C, 3) */
  const int64_t* centerline_offsets;
  const uint8_t* red_on; /* (R, 41) */
  const int64_t* red_offsets;
  const double* red_points; /* (W, 2) */
  const int64_t* red_ring_offsets;
} PairDriveBatch;

/* What a candidate is given as. */
enum { PAIR_DRIVE_PLANS = 0, PAIR_DRIVE_PATHS = 1, PAIR_DRIVE_STATES = 2 };

/* Columns of `values`. */
enum {
  PAIR_DRIVE_NC,
  PAIR_DRIVE_DAC,
  PAIR_DRIVE_DDC,
  PAIR_DRIVE_TLC,
  PAIR_DRIVE_TTC,
  PAIR_DRIVE_LK,
  PAIR_DRIVE_COMFORT, /* HC in version 2, C in version 1 */
  PAIR_DRIVE_PROGRESS, /* m along the centre line, not normalised */
  PAIR_DRIVE_VALUES
};

/* Columns of `events`: the step of the first infraction, -1 where there is none; then who caused it. */
enum {
  PAIR_DRIVE_COLLISION_STEP,
  PAIR_DRIVE_OFF_ROAD_STEP,
  PAIR_DRIVE_ONCOMING_STEP, /* first step whose window exceeds 2 m */
  PAIR_DRIVE_RED_LIGHT_STEP,
  PAIR_DRIVE_TTC_STEP,
  PAIR_DRIVE_LANE_STEP,
  PAIR_DRIVE_COLLISION_OBJECT, /* row among the scene's objects */
  PAIR_DRIVE_TTC_OBJECT,
  PAIR_DRIVE_RED_LIGHT_ROW, /* row among the scene's reds */
  PAIR_DRIVE_COMFORT_BITS,  /* which of the six bounds hold */
  PAIR_DRIVE_EVENTS
};

typedef struct {
  int64_t candidates; /* per scene */
  int64_t kind;       /* PAIR_DRIVE_PLANS: (S, K, 8, 3) ego frame; PATHS: (S, K, 41, 3) local; STATES: (S, K, 41, 11) local */
  const double* input;
  int64_t threads;       /* at least 1 */
  double max_coordinate; /* m; a rollout that gets farther away, or is not finite, is judged as standing still */
  double* values;        /* (S, K, 8) */
  int32_t* events;       /* (S, K, 10) */
  uint8_t* valid;        /* (S, K): 0 where the rollout was replaced by standing still */
  void* states;          /* (S, K, 41, 11), local frame; may be null */
  int64_t single_states; /* states are float32 instead of float64 */
  uint8_t* areas;  /* (S, K, 41): 1 multiple lanes, 2 not drivable, 4 oncoming, 8 centre in an intersection; may be null */
} PairDriveRequest;

/* "pair-drive kernel stamp " and the hash of sources, flags and interface that recipe.py gives to the compiler. */
PAIR_DRIVE_EXPORT const char* pair_drive_stamp(void);

/* Indexes every scene of a batch; `handles` takes one handle a scene. Returns 0, or 1 when memory ran out. */
PAIR_DRIVE_EXPORT int64_t pair_drive_index(const PairDriveBatch* batch, int64_t threads, void** handles);

PAIR_DRIVE_EXPORT void pair_drive_release(void** handles, int64_t count);

/* Scores the same number of candidates in each of `scenes` indexed scenes. Returns 0, or 1 when memory ran out. */
PAIR_DRIVE_EXPORT int64_t pair_drive_score(void* const* handles, int64_t scenes, const PairDriveRequest* request);

/* PDM-Closed's proposals in one scene, local frame: L paths of P points, V target speeds, Q searches for a leader among
   N objects and some red lane connectors (rows from N on). */
typedef struct {
  int64_t paths, points, speeds, steps, searches, search_interval, objects;
  double step; /* s between two poses */
  double ego_speed;
  double min_gap, headway, max_acceleration, max_deceleration, exponent;
  double length, width, center; /* of the vehicle; from the rear axle to the centre */
  const double* path_xy;        /* (L, P, 2) */
  const double* path_heading;   /* (L, P), unwrapped */
  const double* path_progress;  /* (L, P), non-decreasing */
  const double* path_end;       /* (L,), progress of the end */
  const double* start;          /* (L,), progress of the ego at t0 */
  const double* targets;        /* (V,), positive */
  const int64_t* hit_offsets;   /* (L * Q + 1,), hits of each path and search */
  const int64_t* hit_rows;      /* (H,), obstacles in the corridor; the order decides between equally near ones */
  const double* hit_progress;   /* (H,), of the obstacle's centroid along the path */
  const double* box_corners;    /* (Q, N, 4, 2) */
  const double* object_heading; /* (N,) */
  const double* object_speed;   /* (N,) */
  const double* light_xy;       /* (W, 2) */
  const int64_t* light_offsets;
} PairDriveProposals;

/* Unrolls the proposals; `poses` takes (L, V, steps, 3). Returns 0, or 1 when memory ran out. */
PAIR_DRIVE_EXPORT int64_t pair_drive_propose(const PairDriveProposals* proposals, double* poses);

#ifdef __cplusplus
}
#endif

#endif
