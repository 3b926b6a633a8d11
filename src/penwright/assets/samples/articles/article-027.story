The title of Best Dressed Gentleman at the Allotment Society's garden party has gone to a scarecrow, in a decision that the judges say they stand by.

He was entered under the name of Mr Field by a person who has not come forward. He wore a dove grey morning coat, striped trousers and a tie with a pin. Judge Constance Ide, a former tailor, said the shoulders were the best that she had seen on anyone, "with or without a skeleton".

Mr Field was at his post between the beans when the party began. Guests agree that by four o'clock he was standing beside the lemonade. Nobody had carried him.

He spoke to no one, but was felt to be a good listener. Widow Cecily Brand, 71, talked to him for most of the afternoon about her late husband, and said that he never once looked over her shoulder.

Runner-up Roger Catt has asked for an inquiry, arguing that the winner is stuffed. The committee replied that this had never been held against members in the past.

On Sunday a single crow was seen on the allotments. It was wearing a small waistcoat.

@highlight

A scarecrow won Best Dressed Gentleman at the Allotment Society garden party

@highlight

Guests say he moved to the lemonade table although nobody carried him

@highlight

The runner-up has complained that the winner is stuffed
