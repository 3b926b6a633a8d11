A snowman built on the recreation ground in January was still standing yesterday, when the temperature in Lower Pell reached twenty-six degrees.

He was made by the Draycott sisters, Mina and Fay, during the only snow of the winter. Their mother expected him to be gone by the end of the week. Instead he has lost only a little weight, and has been given a sun hat.

Physics teacher Colin Reeve has measured him every lunchtime since April. The core is holding steady at just below freezing, and he can find no reason why.

"I have stopped asking how," said Mr Reeve. "I now ask the class what they would do in his place, and we've had some marvellous work out of it."

Neighbours bring chairs out in the evenings to sit near him, as it is the coolest place in town. An elderly man who had not left his house for two summers now comes every night and stays until ten.

Fay, who is six, believes that she knows the answer. She told the Gazette that she had asked him not to go, and that he had said all right.

@highlight

A snowman built in January survived a day of twenty-six degrees in Lower Pell

@highlight

A physics teacher has measured him daily and cannot explain it

@highlight

Neighbours now sit beside him on warm evenings to keep cool
