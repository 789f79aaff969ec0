import { describe, expect, it } from 'vitest'
import { Plan } from '../src/plan'

const node = (id: string) => ({ id, region: 'r', place: '', url: `http://${id}` })
const take = (plan: Plan, n: number) => Array.from({ length: n }, () => plan.next().url)

describe('Plan', () => {
  it('begins where the page came from', () => {
    expect(take(new Plan('http://entry'), 2)).toEqual(['http://entry', 'http://entry'])
  })

  it('tries the same node once after a session that lasted, then the fallbacks, then the entry', () => {
    const plan = new Plan('http://entry')
    plan.next()
    plan.learn(node('a'), [node('b'), node('c')])
    plan.served()
    plan.lost(true)
    expect(plan.attempt).toBe(0)
    expect(take(plan, 5)).toEqual(['http://a', 'http://b', 'http://c', 'http://entry', 'http://a'])
  })

  it('does not return at once to a node whose session ended at once', () => {
    const plan = new Plan('http://a')
    plan.next()
    plan.learn(node('a'), [node('b')])
    plan.served()
    plan.lost(false)
    expect(plan.next().url).toBe('http://b')
  })

  it('visits every node once in a round', () => {
    const plan = new Plan('http://a')
    plan.learn(node('a'), [node('b'), node('a'), node('b')])
    plan.lost(true)
    expect(take(plan, 3)).toEqual(['http://a', 'http://b', 'http://a'])
    expect(plan.known.map((one) => one.id)).toEqual(['a', 'b'])
  })

  it('begins a round at the node that really served', () => {
    const plan = new Plan('http://a')
    plan.learn(node('a'), [node('b'), node('c')])
    plan.served(node('b'))
    plan.lost(true)
    expect(take(plan, 4)).toEqual(['http://b', 'http://c', 'http://a', 'http://b'])
  })

  it('knows when all have refused', () => {
    const plan = new Plan('http://a')
    plan.learn(node('a'), [node('b')])
    plan.failed(true)
    expect(plan.unanimous).toBe(false)
    plan.failed(false)
    plan.failed(true)
    expect(plan.unanimous).toBe(false)
    plan.failed(true)
    expect(plan.unanimous).toBe(true)
    plan.served()
    expect(plan.unanimous).toBe(false)
  })
})
