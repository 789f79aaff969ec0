// How long to wait before the next try.

/** The first pause, in milliseconds. It doubles with every try. */
export const base = 250
/** The longest pause: a student must never look at a dead picture for longer because of our politeness. */
export const cap = 4000

/**
 * pause answers the wait in milliseconds before try number `attempt` (0 is the first repeat). Half of it is random,
 * so that a thousand students of a node that died do not knock at the next one in the same instant.
 */
export function pause(attempt: number, random: () => number = Math.random): number {
  const full = Math.min(cap, base * 2 ** Math.min(Math.max(attempt, 0), 16))
  return full / 2 + (random() * full) / 2
}
