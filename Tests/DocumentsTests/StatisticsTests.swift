import Documents
import TestSupport
import Testing

@Suite struct StatisticsTests {
  @Test func `A quantile lies between neighbours in proportion`() {
    #expect([1.0].quantile(0.25) == 1)
    #expect([3.0, 1, 5, 2, 4].quantile(0.25) == 2)
    #expect([1.0, 2].quantile(0.25) == 1.25)
    #expect([4.0, 1, 2].quantile(1) == 4)
    #expect([4.0, 1, 2].quantile(0) == 1)
    #expect([Double]().quantile(0.5) == nil)
  }

  @Test func `The median is the middle value or exactly the mean of two`() {
    #expect([Double]().median == nil)
    #expect([3.0, 1, 2].median == 2)
    var generator = SeededGenerator(seed: 1)
    for _ in 0..<1000 {
      let (a, b) = (Double.random(in: -1...1, using: &generator), Double.random(in: -1e9...1e9, using: &generator))
      #expect([a, b].median == (a + b) / 2)
      let share = Double.random(in: 0...1, using: &generator)
      #expect([a, a, a].quantile(share) == a)
    }
  }
}
