/* Environment, devices and pools: what happens once, or once per port. The packet path is in packets.c. */
#define _GNU_SOURCE
#include "anet_dpdk.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_version.h>

uint32_t anet_dpdk_face(void)
{
    return ANET_DPDK_FACE;
}

const char *anet_dpdk_version(void)
{
    return rte_version();
}

/* DPDK's own words, which say far more than its error numbers: of a call the first line, which is the driver's, and the last. */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char first_line[200], last_line[200];

static void copy_line(char *to, const char *text, size_t len)
{
    if (len >= sizeof(first_line))
        len = sizeof(first_line) - 1;
    memcpy(to, text, len);
    to[len] = 0;
}

static ssize_t keep_line(void *cookie, const char *text, size_t size)
{
    static const char greeting[] = "EAL: Detected";
    size_t len = size;
    (void)cookie;
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    if (len > 0 && (len < sizeof(greeting) || memcmp(text, greeting, sizeof(greeting) - 1) != 0)) {
        pthread_mutex_lock(&log_lock);
        if (first_line[0] == 0)
            copy_line(first_line, text, len);
        else
            copy_line(last_line, text, len);
        pthread_mutex_unlock(&log_lock);
    }
    return (ssize_t)size;
}

static void forget_lines(void)
{
    pthread_mutex_lock(&log_lock);
    first_line[0] = last_line[0] = 0;
    pthread_mutex_unlock(&log_lock);
}

const char *anet_dpdk_complaint(void)
{
    static __thread char copy[sizeof(first_line) + sizeof(last_line) + 2];
    const char *between = "";

    pthread_mutex_lock(&log_lock);
    if (last_line[0] != 0)
        between = "; ";
    snprintf(copy, sizeof(copy), "%s%s%s", first_line, between, last_line);
    pthread_mutex_unlock(&log_lock);
    return copy;
}

static int failure(int code)
{
    if (code == 0)
        return 0;
    return code < 0 && code != -1 ? code : rte_errno > 0 ? -rte_errno : -EIO;
}

int anet_dpdk_start(int argc, char **argv)
{
    cookie_io_functions_t functions = {.write = keep_line};
    FILE *log = fopencookie(NULL, "w", functions);
    int done;

    if (log != NULL) {
        setvbuf(log, NULL, _IOLBF, sizeof(first_line));
        rte_openlog_stream(log);
    }
    done = rte_eal_init(argc, argv);
    return done < 0 ? failure(done) : 0;
}

int anet_dpdk_register_thread(void)
{
    if (rte_lcore_id() != LCORE_ID_ANY)
        return 0;
    return failure(rte_thread_register());
}

/* The name of a device: its string up to the arguments. */
static void name_of(const char *device, char *name, size_t size)
{
    snprintf(name, size, "%.*s", (int)strcspn(device, ","), device);
}

/* A device's port by that name. */
static int find(const char *device, uint16_t *port)
{
    char name[RTE_ETH_NAME_MAX_LEN];

    name_of(device, name, sizeof(name));
    return rte_eth_dev_get_port_by_name(name, port) == 0 ? 0 : -ENODEV;
}

static int describe(uint16_t port, struct anet_device *out)
{
    struct rte_eth_dev_info info;
    struct rte_ether_addr mac;
    int code = rte_eth_dev_info_get(port, &info);

    if (code != 0)
        return failure(code);
    memset(out, 0, sizeof(*out));
    out->port = port;
    out->max_receive_queues = info.max_rx_queues;
    out->max_transmit_queues = info.max_tx_queues;
    out->mtu_min = info.min_mtu;
    out->mtu_max = info.max_mtu;
    out->numa_node = rte_eth_dev_socket_id(port);
    if (rte_eth_macaddr_get(port, &mac) == 0)
        memcpy(out->mac, mac.addr_bytes, sizeof(out->mac));
    snprintf(out->driver, sizeof(out->driver), "%s", info.driver_name);
    return 0;
}

int anet_dpdk_probe(const char *device, struct anet_device *out)
{
    char name[RTE_ETH_NAME_MAX_LEN];
    uint16_t port;
    int code;

    forget_lines();
    if (find(device, &port) != 0) {
        code = rte_dev_probe(device);
        if (code != 0)
            return failure(code);
        code = find(device, &port);
        if (code != 0) {
            /* It is there and is no port. */
            name_of(device, name, sizeof(name));
            if (rte_eal_hotplug_remove("vdev", name) != 0)
                rte_eal_hotplug_remove("pci", name);
            return code;
        }
    }
    return describe(port, out);
}

/* What the device does of what we can use; what it does not, is done in software. */
static void choose_offloads(const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
    const uint64_t receive = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_SCATTER;
    const uint64_t hashes = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;

    conf->rxmode.offloads = receive & info->rx_offload_capa;
    conf->txmode.offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS & info->tx_offload_capa;
    if (info->flow_type_rss_offloads != 0) {
        conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf->rx_adv_conf.rss_conf.rss_hf = hashes & info->flow_type_rss_offloads;
    }
}

static int set_up_queues(uint16_t port, const struct anet_setup *setup)
{
    int node = rte_eth_dev_socket_id(port), code;
    uint16_t receive_ring = setup->receive_ring, transmit_ring = setup->transmit_ring, queue;

    code = rte_eth_dev_adjust_nb_rx_tx_desc(port, &receive_ring, &transmit_ring);
    for (queue = 0; code == 0 && queue < setup->receive_queues; queue++)
        code = rte_eth_rx_queue_setup(port, queue, receive_ring, node, NULL, setup->pool);
    for (queue = 0; code == 0 && queue < setup->transmit_queues; queue++)
        code = rte_eth_tx_queue_setup(port, queue, transmit_ring, node, NULL);
    return code;
}

int anet_dpdk_configure(uint16_t port, const struct anet_setup *setup)
{
    struct rte_eth_conf conf = {0};
    struct rte_eth_dev_info info;
    int code;

    forget_lines();
    code = rte_eth_dev_info_get(port, &info);
    if (code != 0)
        return failure(code);
    choose_offloads(&info, &conf);
    /* A device without a range of its own takes what it takes. */
    conf.rxmode.mtu = info.max_mtu < RTE_ETHER_MIN_MTU || setup->mtu <= info.max_mtu ? setup->mtu : info.max_mtu;
    code = rte_eth_dev_configure(port, setup->receive_queues, setup->transmit_queues, &conf);
    if (code == 0)
        code = set_up_queues(port, setup);
    if (code == 0)
        code = rte_eth_dev_start(port);
    /* Many test devices know no promiscuous mode, and need none. */
    if (code == 0)
        rte_eth_promiscuous_enable(port);
    return failure(code);
}

int anet_dpdk_link_up(uint16_t port)
{
    struct rte_eth_link link;

    if (rte_eth_link_get_nowait(port, &link) != 0)
        return -ENODEV;
    return link.link_status == RTE_ETH_LINK_UP;
}

int anet_dpdk_statistics(uint16_t port, struct anet_statistics *out)
{
    struct rte_eth_stats stats;
    int code = rte_eth_stats_get(port, &stats);

    if (code != 0)
        return failure(code);
    out->missed = stats.imissed;
    out->no_buffer = stats.rx_nombuf;
    out->errors = stats.ierrors;
    return 0;
}

int anet_dpdk_close(uint16_t port)
{
    struct rte_eth_dev_info info;
    int code, known;

    forget_lines();
    known = rte_eth_dev_info_get(port, &info) == 0 && info.device != NULL;
    rte_eth_dev_stop(port);
    code = rte_eth_dev_close(port);
    /* Whoever wants it again makes it anew: a closed port of a device that stays cannot be had again. */
    if (known)
        code = rte_dev_remove(info.device);
    return failure(code);
}

int anet_dpdk_pool_new(const char *name, uint32_t buffers, uint16_t data_room, int numa_node, void **pool)
{
    forget_lines();
    /* Private data would lie between a buffer's header and its bytes, see packets.c. */
    *pool = rte_pktmbuf_pool_create(name, buffers, RTE_MEMPOOL_CACHE_MAX_SIZE / 2, 0, data_room,
                                    numa_node < 0 ? SOCKET_ID_ANY : numa_node);
    return *pool == NULL ? failure(-1) : 0;
}
