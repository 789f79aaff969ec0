// The small bridge from the classes that do things to the components that show them.

import { useEffect, useState } from 'preact/hooks'

/** Store holds one immutable value and tells its listeners when another one takes its place. */
export class Store<T extends object> {
  private value: T
  private readonly listeners = new Set<() => void>()

  constructor(value: T) {
    this.value = value
  }

  get(): T {
    return this.value
  }

  /** patch replaces the named members. Nothing happens when they are what they were. */
  patch(change: Partial<T>): void {
    const keys = Object.keys(change) as (keyof T)[]
    if (keys.every((key) => Object.is(this.value[key], change[key]))) return
    this.value = { ...this.value, ...change }
    for (const listener of [...this.listeners]) listener()
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
}

/** useStore draws the component again whenever the store changes. */
export function useStore<T extends object>(store: Store<T>): T {
  const [value, setValue] = useState(store.get())
  useEffect(() => {
    const update = () => setValue(store.get())
    update()
    return store.subscribe(update)
  }, [store])
  return value
}
