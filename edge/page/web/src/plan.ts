// Which node to ask next. Pure: it knows no clock and no network.

import type { NodeRef } from './api'

/**
 * Plan walks through the nodes that may serve us. After a loss it offers the node that served us once more, then the
 * fallbacks in the order that the mesh gave, then the node that this page came from, and then begins again.
 */
export class Plan {
  private readonly entry: NodeRef
  private edge: NodeRef | null = null
  private fallbacks: NodeRef[] = []
  private queue: NodeRef[]
  private current: NodeRef
  private tries = 0
  private noes = 0

  /** `entry` is the base URL of the node that served the page. */
  constructor(entry: string) {
    this.entry = { id: '', region: '', place: '', url: entry }
    this.current = this.entry
    this.queue = [this.entry]
  }

  /** attempt counts the tries that have failed since the last success. */
  get attempt(): number {
    return this.tries
  }

  /** unanimous says that every node of a round has refused us in a row: asking on would hear the same. */
  get unanimous(): boolean {
    return this.noes >= this.round().length
  }

  /** known is every node that an answer has named; used to tell who a URL belongs to. */
  get known(): NodeRef[] {
    return this.round().filter((node) => node.id !== '')
  }

  /** learn takes in a join answer. */
  learn(edge: NodeRef, fallbacks: NodeRef[]): void {
    this.edge = edge
    this.fallbacks = fallbacks
  }

  /** peek is the node that comes next, without taking it. */
  peek(): NodeRef {
    return this.queue[0] ?? this.round()[0] ?? this.entry
  }

  /** next takes the node to ask now. */
  next(): NodeRef {
    if (this.queue.length === 0) this.queue = this.round()
    this.current = this.queue.shift() ?? this.entry
    return this.current
  }

  /** failed says that the node that next() gave did not serve us; `refused`, that it said a clear no. */
  failed(refused: boolean): void {
    this.tries++
    this.noes = refused ? this.noes + 1 : 0
  }

  /**
   * served says that a session came about: the next loss starts a fresh round, at `node` if it is given. The node that
   * serves need not be the one that was named: a redirect or our own choice may have led elsewhere.
   */
  served(node?: NodeRef): void {
    if (node && this.edge && node.url !== this.edge.url) {
      this.fallbacks = [...this.fallbacks.filter((other) => other.url !== node.url), this.edge]
      this.edge = node
    }
    this.tries = 0
    this.noes = 0
    this.queue = []
  }

  /**
   * lost says that a session ended. One that had lasted is tried again at the same node first; one that ended at once
   * is not: a node that answers but cannot serve must not hold us.
   */
  lost(lasted: boolean): void {
    if (lasted) {
      this.tries = 0
      this.queue = this.round()
      return
    }
    this.tries++
    if (this.queue.length === 0) {
      this.queue = this.round().filter((node) => node.url !== this.edge?.url)
    }
  }

  private round(): NodeRef[] {
    const seen = new Set<string>()
    return [...(this.edge ? [this.edge] : []), ...this.fallbacks, this.entry].filter((node) => {
      if (seen.has(node.url)) return false
      seen.add(node.url)
      return true
    })
  }
}
