/* The face that DPDK shows to anet-ports: plain types and burst-shaped calls, so that nothing of DPDK's own layouts or
 * inline functions is known outside this folder. It is compiled once per DPDK ABI and loaded when the first DPDK port is
 * asked for. The same declarations, by hand, are in src/dpdk/shim.rs; ANET_DPDK_FACE is raised when they change. */
#ifndef ANET_DPDK_H
#define ANET_DPDK_H

#include <stdint.h>

#define ANET_DPDK_FACE 1

/* A packet as it crosses the face. `slot` is the first byte of the head's memory, `start` where the packet begins in it.
 * `chain` is opaque: the rest of the packet, `chain_len` bytes. */
struct anet_packet {
    void *slot;
    void *chain;
    uint32_t chain_len;
    uint16_t capacity;
    uint16_t start;
    uint16_t head_len;
    uint16_t flags;
};

/* flags of a received packet: the device has verified the transport checksum */
#define ANET_CHECKSUM_GOOD 1

struct anet_device {
    uint16_t port;
    uint16_t max_receive_queues;
    uint16_t max_transmit_queues;
    uint16_t mtu_min;
    uint16_t mtu_max;
    uint8_t mac[6];
    int32_t numa_node;
    char driver[32];
};

struct anet_setup {
    uint16_t receive_queues;
    uint16_t transmit_queues;
    uint16_t receive_ring;
    uint16_t transmit_ring;
    uint16_t mtu;
    void *pool;
};

struct anet_statistics {
    uint64_t missed;   /* the device's queue was full */
    uint64_t no_buffer; /* the pool was empty */
    uint64_t errors;   /* received with an error */
};

/* All calls that can fail return 0, or a negative errno; anet_dpdk_complaint says more. */

uint32_t anet_dpdk_face(void);
const char *anet_dpdk_version(void);
/* What DPDK logged since a call began: its first and its last line. Valid until the thread asks again. */
const char *anet_dpdk_complaint(void);

int anet_dpdk_start(int argc, char **argv);
/* To be called once by every thread that receives or transmits: gives it caches of its own. */
int anet_dpdk_register_thread(void);

/* Finds the device's port, or makes the device. */
int anet_dpdk_probe(const char *device, struct anet_device *out);
int anet_dpdk_configure(uint16_t port, const struct anet_setup *setup);
int anet_dpdk_link_up(uint16_t port);
int anet_dpdk_statistics(uint16_t port, struct anet_statistics *out);
/* Stops and closes the port, and lets the device go. */
int anet_dpdk_close(uint16_t port);

int anet_dpdk_pool_new(const char *name, uint32_t buffers, uint16_t data_room, int numa_node, void **pool);
/* A pool lives as long as the process: nobody can say for sure when its last buffer is back. */
/* An empty packet; 0 packets where the pool is empty. */
uint16_t anet_dpdk_take(void *pool, struct anet_packet *out, uint16_t count);

/* `lost` grows by packets that could not be taken as they were, for want of a buffer. */
uint16_t anet_dpdk_receive(uint16_t port, uint16_t queue, struct anet_packet *out, uint16_t count, uint64_t *lost);
/* Takes all packets; those behind the returned number were not sent and are given back to their pools. */
uint16_t anet_dpdk_transmit(uint16_t port, uint16_t queue, const struct anet_packet *packets, uint16_t count);

void anet_dpdk_release(void *slot, void *chain);
void anet_dpdk_release_chain(void *chain);
/* The first piece of a chain; returns what follows. */
void *anet_dpdk_piece(void *chain, void **data, uint32_t *len);

#endif
