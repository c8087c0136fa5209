import TestSupport
import Testing

@testable import Launch

@Suite struct DigitListTests {
  @Test(arguments: [
    ("[1,1,0]", [1, 1, 0]), ("([0]*3+[1]*2)", [0, 0, 0, 1, 1]), ("[1,0]*2", [1, 0, 1, 0]), ("2*[1,0]", [1, 0, 1, 0]),
    ("(([1]+[0]*2)*2+[1])", [1, 0, 0, 1, 0, 0, 1]), ("[]", []), ("[1,]", [1]), ("[0]*0+[7]", [7]),
  ])
  func listsAreReadAsPythonHasThem(text: String, numbers: [Int]) {
    #expect(DigitList(text, most: 100)?.numbers == numbers)
  }

  @Test(arguments: [
    "", "1", "[1", "[1]*", "[1]+", "([1]", "[1]]", "[1]*[2]", "[1]+2", "[-1]", "[a]", "[1][2]", "[1]*101", "[,]",
    "[1]*99999999999999999999", "([1]*50+[1]*51)", "[[1]]",
  ])
  func whatIsNoListIsNone(text: String) {
    #expect(DigitList(text, most: 100) == nil)
  }

  @Test func listsNestOnlySoDeep() {
    func nested(_ depth: Int) -> String {
      String(repeating: "(", count: depth) + "[1]" + String(repeating: ")", count: depth)
    }
    #expect(DigitList(nested(16), most: 1)?.numbers == [1])
    #expect(DigitList(nested(17), most: 1) == nil)
    #expect(DigitList(nested(100_000), most: 1) == nil)
  }

  @Test func listsAreWrittenShortAndReadBack() {
    #expect(DigitList([0, 0, 0] + [Int](repeating: 1, count: 58)).text == "([0]*3+[1]*58)")
    #expect(DigitList([1, 0, 1]).text == "([1]+[0]+[1])")
    var random = SeededGenerator(seed: 4)
    for _ in 0..<300 {
      let list = DigitList(
        (0..<Int.random(in: 1...30, using: &random)).map { _ in Int.random(in: 0...1, using: &random) })
      #expect(DigitList(list.text, most: 30) == list)
    }
  }
}
