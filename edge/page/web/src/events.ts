// What a node says by itself about a session.

/**
 * listen calls moved once, when the node asks for another session in the place of this one. The function that it returns
 * ends the listening. Whoever cannot listen notices the end of the session instead, and is without a picture for a moment.
 */
export function listen(session: string, moved: () => void): () => void {
  if (!session || typeof EventSource === 'undefined') return () => undefined
  const over = new AbortController()
  const open = () => {
    const source = new EventSource(`${session}/events`)
    over.signal.addEventListener('abort', () => source.close())
    source.addEventListener('reconnect', () => {
      source.close()
      moved()
    })
  }
  if (session.startsWith('https:')) {
    open()
  } else {
    // Without encryption there is no HTTP/2, and a browser has six connections to a host for all its pages. One of them
    // listens at a time, so that the others can be asked for.
    const turn = () => {
      open()
      return new Promise<void>((resolve) => over.signal.addEventListener('abort', () => resolve()))
    }
    navigator.locks?.request('lyceum-events', { signal: over.signal }, turn).catch(() => undefined)
  }
  return () => over.abort()
}
