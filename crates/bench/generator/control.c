/* An EAL plug-in (`-d generator.so` of any DPDK program): it finds the program's net_null devices, puts the generating side
 * on their receive queues and the far side on their transmit queues, and follows a configuration file that may be replaced
 * while the program runs.
 *
 * Environment: ANET_GENERATOR is the configuration's path, ANET_GENERATOR_RESULTS the file of results (made here).
 *
 * The devices are made with `no-rx=1`: net_null then hands out nothing, and the callback takes buffers from the program's own
 * pool only when it has a packet to put in. A queue without work costs nothing, and no empty frame ever gets in. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sink.h"
#include "source.h"

enum { QUEUES_MAX = 16, SIDES = 2, LOOK_MS = 2, DRAIN_MS = 20, CAUGHT_UP_MS = 10, PASSES = 3 };

static struct results_header *results;
static const char *configuration_path;
static struct stat seen; /* of the configuration in force; a file in its place has another number, if not another time */
static const struct configuration *asked; /* the newest one */
static const struct templates *templates; /* of `asked` */
static struct source sources[SIDES][QUEUES_MAX];
static struct sink sinks[SIDES][QUEUES_MAX];
static unsigned sources_known[SIDES], sinks_known[SIDES];
static unsigned pass; /* of establishing; PASSES: done */

static void pause_ms(unsigned milliseconds)
{
    struct timespec time = { .tv_nsec = milliseconds * 1000000l };

    nanosleep(&time, NULL);
}

static struct results_queue *results_page(enum queue_kind kind, enum queue_side side, uint16_t queue)
{
    struct results_queue *page = (struct results_queue *)results + 1 + results->queues;

    if (results->queues >= RESULTS_QUEUES)
        return NULL;
    page->side = side;
    page->queue = queue;
    page->kind = kind;
    results->queues++;
    return page;
}

/* The pool that packets are taken from: the program's largest one of whole packets. */
static void consider_pool(struct rte_mempool *pool, void *user)
{
    struct rte_mempool **best = user;
    bool of_packets = pool->private_data_size >= sizeof(struct rte_pktmbuf_pool_private) &&
              pool->elt_size >= sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM + FRAME_MAX;

    if (of_packets && rte_pktmbuf_data_room_size(pool) >= RTE_PKTMBUF_HEADROOM + FRAME_MAX &&
        (*best == NULL || pool->size > (*best)->size))
        *best = pool;
}

static struct rte_mempool *pool_of_program(void)
{
    struct rte_mempool *best = NULL;

    rte_mempool_walk(consider_pool, &best);
    if (best != NULL)
        snprintf(results->pool, sizeof results->pool, "%s", best->name);
    return best;
}

static void adopt_queues(uint16_t port, enum queue_side side)
{
    struct rte_eth_dev_info info;

    if (rte_eth_dev_info_get(port, &info) != 0)
        return;
    for (unsigned q = sources_known[side]; q < info.nb_rx_queues && q < QUEUES_MAX; q++) {
        struct source *source = &sources[side][q];

        source->queue = q;
        source->results = results_page(QUEUE_IN, side, q);
        if (source->results == NULL || rte_eth_add_rx_callback(port, q, source_burst, source) == NULL)
            return;
        sources_known[side] = q + 1;
    }
    for (unsigned q = sinks_known[side]; q < info.nb_tx_queues && q < QUEUES_MAX; q++) {
        struct sink *sink = &sinks[side][q];

        sink->side = side;
        sink->results = results_page(QUEUE_OUT, side, q);
        if (sink->results == NULL || rte_eth_add_tx_callback(port, q, sink_burst, sink) == NULL)
            return;
        atomic_store(&sink->configuration, asked);
        sinks_known[side] = q + 1;
    }
}

/* Puts callbacks on queues that are new. A device says «up» from its start on, when all of its queues are there. True once
 * both devices have the queues they should have. */
static bool devices_ready(void)
{
    const char *names[SIDES] = { asked->guest, asked->underlay };
    bool ready = true;

    for (unsigned side = 0; side < SIDES; side++) {
        struct rte_eth_link link = { 0 };
        uint16_t port;

        if (rte_eth_dev_get_port_by_name(names[side], &port) != 0 || rte_eth_link_get_nowait(port, &link) != 0 ||
            link.link_status == RTE_ETH_LINK_DOWN) {
            ready = false;
            continue;
        }
        adopt_queues(port, side);
        ready = ready && sources_known[side] >= asked->queues && sinks_known[side] > 0;
    }
    return ready;
}

static void stop_sources(void)
{
    for (unsigned side = 0; side < SIDES; side++)
        for (unsigned q = 0; q < sources_known[side]; q++)
            source_give(&sources[side][q], NULL);
}

static void start_side(enum queue_side side, enum stage stage, bool once)
{
    struct work *work = malloc(sizeof *work);
    double pace = once ? asked->establish_pace : asked->pace;

    if (work == NULL)
        return;
    *work = (struct work){
        .templates = templates,
        .pool = pool_of_program(),
        .reverse = side == SIDE_UNDERLAY,
        .stage = stage,
        .order = asked->order,
        .once = once,
        .pace = pace / (double)rte_get_tsc_hz() / asked->queues,
        .most = pace / asked->queues * CAUGHT_UP_MS / 1000,
    };
    for (unsigned q = 0; work->pool != NULL && q < asked->queues; q++)
        source_give(&sources[side][q], work);
}

static bool side_done(enum queue_side side)
{
    for (unsigned q = 0; q < asked->queues; q++)
        if (!atomic_load_explicit(&sources[side][q].done, memory_order_acquire))
            return false;
    return true;
}

/* There, back, and there again: what TCP needs to be established, and more than enough for UDP. */
static enum queue_side side_of_pass(void)
{
    return pass == 1 ? SIDE_UNDERLAY : SIDE_GUEST;
}

static void start_pass(void)
{
    static const enum stage stages[PASSES] = { STAGE_SYN, STAGE_SYN_ACK, STAGE_ACK };

    start_side(side_of_pass(), stages[pass], true);
}

static void run_measured(void)
{
    if (asked->direction != CHOICE_SECOND)
        start_side(SIDE_GUEST, STAGE_DATA, false);
    if (asked->direction != CHOICE_FIRST)
        start_side(SIDE_UNDERLAY, STAGE_DATA, false);
    results->phase = PHASE_RUNNING;
}

/* Reads the configuration if it was replaced. A wrong one stops everything and is refused with a reason. */
static void follow_configuration(void)
{
    struct stat now;
    struct configuration *fresh;

    if (stat(configuration_path, &now) != 0 ||
        (now.st_ino == seen.st_ino && now.st_mtim.tv_sec == seen.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == seen.st_mtim.tv_nsec))
        return;
    seen = now;
    fresh = malloc(sizeof *fresh);
    if (fresh == NULL)
        return;
    if (!configuration_read(configuration_path, fresh, results->error, sizeof results->error)) {
        stop_sources();
        results->phase = PHASE_REFUSED;
        free(fresh);
        return;
    }
    /* Neither the old one nor its templates are freed: a thread may be in the middle of a burst with them. */
    asked = fresh;
    templates = templates_new(fresh);
    stop_sources();
    for (unsigned side = 0; side < SIDES; side++)
        for (unsigned q = 0; q < sinks_known[side]; q++)
            atomic_store(&sinks[side][q].configuration, fresh);
    results->phase = PHASE_WAITING;
}

/* The next step from where it stands. */
static void step(void)
{
    switch (results->phase) {
    case PHASE_WAITING:
        if (!devices_ready() || templates == NULL || pool_of_program() == NULL)
            return;
        results->tsc_hz = rte_get_tsc_hz();
        pass = asked->establish ? 0 : PASSES;
        if (asked->run && pass < PASSES)
            start_pass();
        else if (asked->run)
            run_measured();
        if (!asked->run || pass < PASSES)
            results->phase = asked->run ? PHASE_ESTABLISHING : PHASE_PAUSED;
        results->generation = asked->generation;
        return;
    case PHASE_ESTABLISHING:
        if (!side_done(side_of_pass()))
            return;
        pause_ms(DRAIN_MS); /* an answer before its question would be a packet of no connection */
        if (++pass < PASSES)
            start_pass();
        else
            run_measured();
        return;
    default:
        devices_ready(); /* a program may make further queues later */
    }
}

static void *control(void *unused)
{
    (void)unused;
    for (;;) {
        follow_configuration();
        if (asked != NULL)
            step();
        pause_ms(LOOK_MS);
    }
    return NULL;
}

static bool map_results(const char *path)
{
    const size_t size = (1 + RESULTS_QUEUES) * RESULTS_PAGE;
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    void *mapped;

    if (file < 0 || ftruncate(file, (off_t)size) != 0)
        return false;
    mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    close(file);
    if (mapped == MAP_FAILED)
        return false;
    results = mapped;
    results->magic = RESULTS_MAGIC;
    return true;
}

/* Runs when the plug-in is loaded, which is before EAL has memory: so only a thread of our own is made here. */
__attribute__((constructor)) static void loaded(void)
{
    const char *path = getenv("ANET_GENERATOR_RESULTS");
    pthread_t thread;

    configuration_path = getenv("ANET_GENERATOR");
    if (configuration_path == NULL || path == NULL) {
        fprintf(stderr, "generator: ANET_GENERATOR and ANET_GENERATOR_RESULTS name its files; it stays idle\n");
        return;
    }
    if (!map_results(path)) {
        fprintf(stderr, "generator: %s: %s\n", path, strerror(errno));
        return;
    }
    if (pthread_create(&thread, NULL, control, NULL) == 0)
        pthread_detach(thread);
}
