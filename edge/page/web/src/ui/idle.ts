// Noticing that nobody touches the page.

import { useEffect, useState } from 'preact/hooks'

/** After this long without a touch or a key the controls over a picture step aside, ms. */
const calm = 3000

/** useIdle tells whether nobody has touched pointer or keys for a while. */
export function useIdle(): boolean {
  const [idle, setIdle] = useState(false)
  useEffect(() => {
    let timer = 0
    const touched = () => {
      clearTimeout(timer)
      setIdle(false)
      timer = window.setTimeout(() => setIdle(true), calm)
    }
    const signs = ['pointermove', 'pointerdown', 'keydown', 'focusin'] as const
    touched()
    for (const sign of signs) document.addEventListener(sign, touched)
    return () => {
      clearTimeout(timer)
      for (const sign of signs) document.removeEventListener(sign, touched)
    }
  }, [])
  return idle
}
