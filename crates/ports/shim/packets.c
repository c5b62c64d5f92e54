/* The packet path: bursts in and out, and buffers that go back.
 *
 * A packet of ours is an mbuf without private data, so its bytes lie right behind its header and the one leads to the
 * other. Where a driver hands out memory that is elsewhere (external or indirect), the packet is copied at once. */
#include "anet_dpdk.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#define BURST 64
/* Bytes of a longer packet that must lie in its head: anet_memory::buffer::HEAD_MIN. */
#define HEAD_MIN 256

static inline struct rte_mbuf *header_of(void *slot)
{
    return (struct rte_mbuf *)((char *)slot - sizeof(struct rte_mbuf));
}

static inline void put(struct anet_packet *out, const struct rte_mbuf *m)
{
    out->slot = m->buf_addr;
    out->chain = m->next;
    out->chain_len = m->pkt_len - m->data_len;
    out->capacity = m->buf_len;
    out->start = m->data_off;
    out->head_len = m->data_len;
    out->flags = (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD ? ANET_CHECKSUM_GOOD : 0;
}

/* Moves the packet's front into its first segment until that is long enough. False where it has no room. */
static int lengthen_head(struct rte_mbuf *m)
{
    while (m->data_len < HEAD_MIN && m->next != NULL) {
        struct rte_mbuf *next = m->next;
        uint16_t wanted = HEAD_MIN - m->data_len;
        uint16_t len = next->data_len < wanted ? next->data_len : wanted;

        if (rte_pktmbuf_tailroom(m) < len)
            return 0;
        rte_memcpy(rte_pktmbuf_mtod_offset(m, char *, m->data_len), rte_pktmbuf_mtod(next, char *), len);
        m->data_len += len;
        next->data_off += len;
        next->data_len -= len;
        if (next->data_len == 0) {
            m->next = next->next;
            m->nb_segs--;
            next->next = NULL;
            next->nb_segs = 1;
            rte_pktmbuf_free_seg(next);
        }
    }
    return 1;
}

/* A packet that is not simply one segment of ours. NULL, and the packet freed, where it cannot be made one. */
static __rte_noinline struct rte_mbuf *tidy(struct rte_mbuf *m)
{
    if (!RTE_MBUF_DIRECT(m) || m->priv_size != 0 || rte_mbuf_refcnt_read(m) != 1) {
        struct rte_mbuf *copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);

        rte_pktmbuf_free(m);
        m = copy;
    }
    if (m != NULL && !lengthen_head(m)) {
        rte_pktmbuf_free(m);
        m = NULL;
    }
    return m;
}

uint16_t anet_dpdk_receive(uint16_t port, uint16_t queue, struct anet_packet *out, uint16_t count, uint64_t *lost)
{
    struct rte_mbuf *burst[BURST];
    uint16_t got = rte_eth_rx_burst(port, queue, burst, count < BURST ? count : BURST), kept = 0, i;

    for (i = 0; i < got; i++) {
        struct rte_mbuf *m = burst[i];

        if (i + 4 < got)
            rte_prefetch0(rte_pktmbuf_mtod(burst[i + 4], void *));
        if (unlikely(m->nb_segs != 1 || !RTE_MBUF_DIRECT(m))) {
            m = tidy(m);
            if (m == NULL) {
                (*lost)++;
                continue;
            }
        }
        put(&out[kept++], m);
    }
    return kept;
}

/* A packet's chain may have been taken off or cut short, and its mbufs were not told. */
static __rte_noinline void settle_chain(struct rte_mbuf *m, uint32_t left)
{
    struct rte_mbuf *piece = m;

    m->nb_segs = 1;
    while (left > 0 && piece->next != NULL) {
        piece = piece->next;
        m->nb_segs++;
        if (piece->data_len > left)
            piece->data_len = left;
        left -= piece->data_len;
    }
    if (piece->next != NULL && piece != m)
        rte_pktmbuf_free(piece->next);
    piece->next = NULL;
}

/* Writes back what became of the packet. */
static inline struct rte_mbuf *take_back(const struct anet_packet *packet)
{
    struct rte_mbuf *m = header_of(packet->slot);

    m->data_off = packet->start;
    m->data_len = packet->head_len;
    m->pkt_len = packet->head_len + packet->chain_len;
    m->ol_flags = 0;
    /* A chain that was taken off has gone back to its pool already: the mbuf's own pointer to it says nothing. */
    if (unlikely(m->next != NULL))
        settle_chain(m, packet->chain == NULL ? 0 : packet->chain_len);
    return m;
}

uint16_t anet_dpdk_transmit(uint16_t port, uint16_t queue, const struct anet_packet *packets, uint16_t count)
{
    struct rte_mbuf *burst[BURST];
    uint16_t done = 0;

    while (done < count) {
        uint16_t turn = count - done < BURST ? count - done : BURST, sent, i;

        for (i = 0; i < turn; i++)
            burst[i] = take_back(&packets[done + i]);
        sent = rte_eth_tx_burst(port, queue, burst, turn);
        done += sent;
        if (sent < turn) {
            rte_pktmbuf_free_bulk(&burst[sent], turn - sent);
            for (i = done + turn - sent; i < count; i++)
                anet_dpdk_release(packets[i].slot, packets[i].chain);
            break;
        }
    }
    return done;
}

uint16_t anet_dpdk_take(void *pool, struct anet_packet *out, uint16_t count)
{
    uint16_t i;

    for (i = 0; i < count; i++) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

        if (m == NULL)
            break;
        put(&out[i], m);
    }
    return i;
}

void anet_dpdk_release(void *slot, void *chain)
{
    struct rte_mbuf *m = header_of(slot);

    if (unlikely(chain == NULL && m->next != NULL)) {
        m->next = NULL;
        m->nb_segs = 1;
    }
    rte_pktmbuf_free(m);
}

void anet_dpdk_release_chain(void *chain)
{
    struct rte_mbuf *piece = chain;

    while (piece != NULL) {
        struct rte_mbuf *next = piece->next;

        piece->next = NULL;
        piece->nb_segs = 1;
        rte_pktmbuf_free_seg(piece);
        piece = next;
    }
}

void *anet_dpdk_piece(void *chain, void **data, uint32_t *len)
{
    struct rte_mbuf *piece = chain;

    *data = rte_pktmbuf_mtod(piece, void *);
    *len = piece->data_len;
    return piece->next;
}
