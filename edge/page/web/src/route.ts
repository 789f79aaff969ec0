// Which page an address names, and the token that its fragment carries.

export type Route = { page: 'landing' } | { page: 'watch' | 'teach'; room: string }

/** parseRoute reads the path of the address; whatever it does not know is the landing page. */
export function parseRoute(path: string): Route {
  const [, page, room, ...rest] = path.split('/')
  if ((page === 'watch' || page === 'teach') && room && rest.join('') === '') {
    try {
      return { page, room: decodeURIComponent(room) }
    } catch {
      return { page: 'landing' }
    }
  }
  return { page: 'landing' }
}

/** pathOf is the inverse of parseRoute for a room's pages. */
export function pathOf(page: 'watch' | 'teach', room: string): string {
  return `/${page}/${encodeURIComponent(room)}`
}

/** tokenIn reads `#token=...`. A fragment is never sent to a server, so the token is in no log and no Referer. */
export function tokenIn(fragment: string): string {
  return cleanToken(new URLSearchParams(fragment.replace(/^#/, '')).get('token') ?? '')
}

/** cleanToken forgives what copying adds around a token: spaces, line ends, quotes, the word Bearer, a whole link. */
export function cleanToken(text: string): string {
  const link = /#token=([^&\s]+)/.exec(text)
  const bare = link?.[1] ?? text
  return bare.replace(/^\s*bearer\s+/i, '').replace(/[\s"'<>]/g, '')
}

/** roomIn finds the room in what a person typed or pasted: its name, or the link of one of its pages. */
export function roomIn(text: string): string {
  const link = /\/(?:watch|teach)\/([^/?#\s]+)/.exec(text)
  if (!link?.[1]) return text.trim()
  try {
    return decodeURIComponent(link[1])
  } catch {
    return ''
  }
}

/** keyOf names the place in sessionStorage of the token for one page of one room. */
export function keyOf(route: { page: string; room: string }): string {
  return `lyceum/${route.page}/${route.room}`
}

/**
 * takeToken moves a token from the address into sessionStorage (this tab only, gone when it closes) and clears the
 * fragment, so that the address can be shown on a projector, bookmarked or shared without the right to enter.
 */
export function takeToken(route: { page: string; room: string }, location: Location, history: History, storage: Storage | null): string {
  const given = tokenIn(location.hash)
  if (given) {
    try {
      storage?.setItem(keyOf(route), given)
    } catch {
      // Storage may be forbidden inside a frame: then the token lives as long as this page.
    }
    history.replaceState(history.state, '', location.pathname + location.search)
    return given
  }
  try {
    return storage?.getItem(keyOf(route)) ?? ''
  } catch {
    return ''
  }
}
