// Numbers as people read them.

/** clock writes a duration in ms as 0:07, 12:34 or 1:02:03. */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const pad = (value: number) => String(value).padStart(2, '0')
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`
}

/** rate writes a bit rate: 840 kbit/s, 2.4 Mbit/s. */
export function rate(bits: number, locale = 'en'): string {
  const write = (value: number, digits: number) =>
    new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value)
  if (!(bits > 0)) return `${write(0, 0)} kbit/s`
  return bits < 999_500 ? `${write(bits / 1000, 0)} kbit/s` : `${write(bits / 1e6, 1)} Mbit/s`
}

/** millis writes a round trip. */
export function millis(ms: number): string {
  return ms < 1 ? '< 1 ms' : `${Math.round(ms)} ms`
}

/** size writes a picture's size. */
export function size(width: number, height: number): string {
  return `${width} × ${height}`
}

/** nodeName is what a person calls a node: its id, or its address while the id is not known. */
export function nodeName(node: { id: string; url: string }): string {
  if (node.id) return node.id
  try {
    return new URL(node.url).host
  } catch {
    return node.url
  }
}

/** nodePlace is where a node is: its place and region, whichever are known, each once. */
export function nodePlace(node: { region: string; place: string }): string {
  return [...new Set([node.place, node.region].filter((part) => part !== ''))].join(', ')
}
