/* What the bench reads while a program runs: a file that is mapped into it. Words of eight bytes in the machine's order,
 * a page for the header and one for each queue. Each queue's page is written by the thread that serves it, and by
 * nobody else. crates/bench/src/dpdk/results.rs reads the same layout. */
#ifndef ANET_RESULTS_H
#define ANET_RESULTS_H

#include <stdint.h>

#define RESULTS_MAGIC 0x31444e45474e4541ull
enum { RESULTS_PAGE = 4096, RESULTS_QUEUES = 64, RESULTS_FAILURES = 24, RESULTS_BUCKETS = 256 };

enum phase { PHASE_WAITING, PHASE_PAUSED, PHASE_ESTABLISHING, PHASE_RUNNING, PHASE_REFUSED };

struct results_header {
    uint64_t magic;
    uint64_t tsc_hz;
    uint64_t generation; /* of the configuration in force */
    uint64_t phase;
    uint64_t queues; /* pages in use */
    uint64_t unused[59];
    char error[256]; /* why a configuration was refused */
    char pool[64]; /* where packets come from */
    char rest[RESULTS_PAGE - 64 * 8 - 256 - 64];
};

enum queue_kind { QUEUE_UNUSED, QUEUE_IN, QUEUE_OUT };
enum queue_side { SIDE_GUEST, SIDE_UNDERLAY };

/* What is wrong with a frame that came out. */
enum failure {
    FAILURE_OUTER_ETHERNET,
    FAILURE_OUTER_IP,
    FAILURE_OUTER_IP_CHECKSUM,
    FAILURE_OUTER_ADDRESS,
    FAILURE_OUTER_UDP,
    FAILURE_VXLAN,
    FAILURE_LENGTH,
    FAILURE_INNER, /* not the bytes that were generated */
    FAILURE_FORBIDDEN, /* no rule allows it */
    FAILURE_SIDE, /* it came out on the side it came from */
};

struct results_queue {
    uint64_t kind;
    uint64_t side;
    uint64_t queue;
    uint64_t tsc; /* of the last burst with packets */
    uint64_t packets;
    uint64_t bytes;
    uint64_t forward; /* the next four only in checking, except `forbidden` of what was generated */
    uint64_t reverse;
    uint64_t forbidden;
    uint64_t foreign; /* frames that are none of ours */
    uint64_t no_buffer; /* bursts for which the pool had nothing */
    uint64_t unused[5];
    uint64_t failures[RESULTS_FAILURES];
    uint64_t sample_length; /* of the first frame that failed */
    uint8_t sample[256];
    uint64_t more[55];
    /* Cycles from generation to sending of one packet a burst: eight buckets for each power of two. */
    uint64_t latency[RESULTS_BUCKETS];
    uint8_t rest[RESULTS_PAGE - 8 * (128 + RESULTS_BUCKETS)];
};

_Static_assert(sizeof(struct results_header) == RESULTS_PAGE, "a header is a page");
_Static_assert(sizeof(struct results_queue) == RESULTS_PAGE, "a queue is a page");

#endif
