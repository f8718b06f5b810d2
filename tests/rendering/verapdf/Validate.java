// Validate (FLAVOUR FILE)...: a line per rule of the standard that a PDF breaks, and after each PDF its verdict.

import java.io.FileInputStream;
import java.util.TreeSet;
import java.util.logging.LogManager;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.flavours.PDFAFlavour;
import org.verapdf.pdfa.results.TestAssertion;

public class Validate {
    public static void main(String[] arguments) throws Exception {
        LogManager.getLogManager().reset();
        VeraGreenfieldFoundryProvider.initialise();
        for (int i = 0; i < arguments.length; i += 2) {
            validate(PDFAFlavour.fromString(arguments[i]), arguments[i + 1]);
        }
    }

    private static void validate(PDFAFlavour flavour, String file) throws Exception {
        try (var parser = Foundries.defaultInstance().createParser(new FileInputStream(file), flavour);
                var validator = Foundries.defaultInstance().createValidator(flavour, false)) {
            var result = validator.validate(parser);
            var broken = new TreeSet<String>();
            for (var assertion : result.getTestAssertions()) {
                if (assertion.getStatus() == TestAssertion.Status.FAILED) {
                    broken.add(assertion.getRuleId().getClause() + ": " + assertion.getMessage());
                }
            }
            broken.forEach(System.out::println);
            System.out.println(flavour.getId() + (result.isCompliant() ? " conforms" : " does not conform"));
        }
    }
}
