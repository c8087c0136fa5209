import CGLPK
import Testing

@Test("GLPK 5 is found and linked")
func version() {
  #expect(String(cString: glp_version()).hasPrefix("5."))
}
